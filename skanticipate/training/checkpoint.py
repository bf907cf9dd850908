"""Where the state of a training is kept, so that the same one can go on from it.

A training under way is one file, a finished one another, which holds no more than its
weights and its history. Both are named by a key of all that the training depends on.
"""

import hashlib
import json
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from skanticipate.data.locks import locked
from skanticipate.data.tensor_file import read_tensors, write_tensors
from skanticipate.training.plain import as_plain, from_plain

# Between two writes a training goes on for so many times what the last one took: all
# of them together take less than three parts of a hundred.
_PAUSE = 40


class UnusableCheckpoint(ValueError):
    """A file of a checkpoint that is damaged, or holds another run's state."""


class StateFile:
    """A file of a state, and when to write it again.

    Parameters
    ----------
    path : Path
    parts : dict of str to str
        Digests of what the training depends on, by what they are of.
    every : int
        Epochs between two writes, at least.
    """

    def __init__(self, path, parts, every):
        self.path, self.parts, self.every = path, parts, every
        self.epoch, self.paused_until = 0, 0.0

    def write(self, state):
        """Write a state in place of the last one."""
        tensors = {}
        try:
            tree = as_plain(state, tensors)
        except TypeError as error:
            raise TypeError(
                f"checkpoint cannot keep the state of this training: {error}. Set "
                "checkpoint=None, or use optimisers and networks whose state is plain."
            ) from error
        write_tensors(self.path, tensors, {"parts": self.parts, "state": tree})

    def read(self):
        """The state that is there, or None.

        Raises
        ------
        UnusableCheckpoint
            If it is damaged, or that of another training.
        """
        try:
            tensors, description = read_tensors(self.path)
            parts, tree = description["parts"], description["state"]
            unlike = [k for k, v in self.parts.items() if parts.get(k) != v]
            found = None if unlike else from_plain(tree, tensors)
        except FileNotFoundError:
            return None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UnusableCheckpoint(_refusal(self.path, "damaged")) from error
        if unlike:
            what = f"that of another fit, which differs in {', '.join(unlike)}"
            raise UnusableCheckpoint(_refusal(self.path, what))
        return found

    def begin(self, epoch):
        """Count from an epoch."""
        self.epoch = epoch

    def note(self, epoch, state_of):
        """Write `state_of()` at the end of an epoch, if it is time."""
        start = time.monotonic()
        if epoch - self.epoch < self.every or start < self.paused_until:
            return
        self.write(state_of())
        now = time.monotonic()
        self.epoch, self.paused_until = epoch, now + _PAUSE * (now - start)

    def told(self, error):
        """Add to an interrupt what is kept."""
        if self.path.exists():
            error.add_note(
                f"{self.path} keeps the state of the fit after epoch {self.epoch}: the "
                "same fit, started again, goes on from there."
            )


def _refusal(path, what):
    return (
        f"The checkpoint {path} is {what}: delete this file, and the fit starts anew, "
        "or name another folder as checkpoint."
    )


def key_of_parts(parts):
    """Name of what digests tell, in every process.   -> str."""
    told = json.dumps(sorted(parts.items())).encode()
    return hashlib.blake2b(told, digest_size=16).hexdigest()


class Checkpoint:
    """Where one training keeps its state.

    Parameters
    ----------
    folder : path-like
        Made when there is something to keep. A finished training is read where nothing
        can be written, too.
    parts : dict of str to str
        Digests of all that the training depends on, by what they are of.
    every : int
        Epochs between two writes.
    """

    def __init__(self, folder, parts, every):
        self.folder, self.every = Path(folder), every
        self.kind = str(self.folder), every
        self.key = key_of_parts(parts)
        name = f"{self.key}.{{}}.safetensors"
        self.state = StateFile(self.folder / name.format("state"), parts, every)
        self.end = StateFile(self.folder / name.format("fit"), parts, every)

    @contextmanager
    def held(self):
        """Context in which nobody else runs the same training: who is second waits."""
        with holding(self.folder, self.key, self.end.path):
            try:
                yield
            except KeyboardInterrupt as error:
                self.state.told(error)
                raise

    def resume(self, state):
        """Load what is kept into a state.   -> whether that is the end."""
        if self.resume_end(state):
            with suppress(OSError):  # of a training that was killed at its very end
                self.state.path.unlink()
            return True
        if (kept := self.state.read()) is not None:
            loaded(self.state.path, lambda: state.load_state_dict(kept))
            self.state.begin(state.epoch)
        return False

    def resume_end(self, state):
        """Load the end of the training, where it is kept.   -> whether it is."""
        if (kept := self.end.read()) is None:
            return False
        loaded(self.end.path, lambda: state.load_end(kept))
        return True

    def noted(self, records, training):
        """Pass records on, and keep the state now and then."""
        for record in records:
            state = training.state
            if not state.finished(training.max_epochs):
                self.state.note(state.epoch, state.state_dict)
            yield record

    def finish(self, state):
        """Keep the end of the training, without what only its epochs needed."""
        self.end.write(state.end_dict())
        with suppress(OSError):  # who reads the end tries again
            self.state.path.unlink()


def loaded(path, load):
    """Load what was read from a file.   -> what `load()` returns.

    Raises
    ------
    UnusableCheckpoint
        If it does not fit.
    """
    try:
        return load()
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError) as error:
        what = "damaged, or of another version: its state does not fit"
        raise UnusableCheckpoint(_refusal(path, what)) from error


@contextmanager
def holding(folder, key, end):
    """Hold the lock of a key; not where its end is there and nothing can be written."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / f"{key}.lock"))
        except OSError as error:
            if not end.exists():
                raise OSError(
                    error.errno,
                    f"checkpoint={str(folder)!r} cannot be written ({error}): name a "
                    "folder of your own, or None to keep nothing.",
                ) from error
        yield
