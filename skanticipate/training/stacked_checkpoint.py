"""Where trainings that run as one keep their state: one file for all of them.

It is written whole, so that all of its members are at one epoch and meet again as they
were; who has ended stays in it until all have, and then gets a file of its own.
"""

import json
from contextlib import contextmanager, nullcontext, suppress

from skanticipate.training.checkpoint import (
    Checkpoint,
    StateFile,
    UnusableCheckpoint,
    holding,
    key_of_parts,
    loaded,
)


class StackedCheckpoint:
    """Where trainings of one kind keep their state.

    Parameters
    ----------
    trainings : list of K Training
        Each with a `Checkpoint` of the same folder.
    """

    def __init__(self, trainings):
        first = trainings[0].checkpoint
        parts = [training.checkpoint.state.parts for training in trainings]
        told = {"members": json.dumps(parts)}
        self.trainings, self.folder = trainings, first.folder
        self.key = key_of_parts(told)
        path = self.folder / f"{self.key}.stack.safetensors"
        self.file = StateFile(path, {"members": key_of_parts(told)}, first.every)

    @contextmanager
    def held(self):
        """Context in which nobody else runs the same stack: who is second waits."""
        with holding(self.folder, self.key, self.trainings[0].checkpoint.end.path):
            try:
                yield
            except KeyboardInterrupt as error:
                self.file.told(error)
                raise

    def resume(self):
        """Load what is kept.

        Returns
        -------
        staying : list of Training
            Those to go on with, in the order in which they stood.
        errors : dict of Training to ValueError or None
            Those that have ended.
        """
        errors = {}
        for training in self.trainings:
            try:
                if training.checkpoint.resume_end(training.state):
                    errors[training] = None
            except UnusableCheckpoint as error:
                errors[training] = error
        open_ = [training for training in self.trainings if training not in errors]
        kept = self.file.read() if open_ else None
        if kept is None:
            return open_, errors
        found = {self.trainings[member["place"]] for member in kept}
        if not found.issuperset(open_):  # the end of one of them was deleted
            return open_, errors
        return loaded(self.file.path, lambda: self._load(kept, errors))

    def _load(self, kept, errors):
        """Put members where they were, those whose end is known too."""
        staying = []
        for member in kept:
            training = self.trainings[member["place"]]
            errors.pop(training, None)
            if member["error"] is not None:
                errors[training] = ValueError(member["error"])
            elif member["has_ended"]:
                training.state.load_end(member["state"])
                errors[training] = None
            else:
                training.state.load_state_dict(member["state"])
                staying.append(training)
                self.file.begin(training.state.epoch)
        return staying, errors

    def note(self, staying, errors):
        """Keep the state at the end of an epoch, if it is time.

        Parameters
        ----------
        staying : list of Training
            Those under way, in their order.
        errors : dict of Training to ValueError or None
            Those that have ended.
        """
        self.file.note(staying[0].state.epoch, lambda: self._members(staying, errors))

    def _members(self, staying, errors):
        place_of = {training: k for k, training in enumerate(self.trainings)}
        told = [t for t, e in errors.items() if not isinstance(e, UnusableCheckpoint)]
        return [_member(place_of[t], t, errors) for t in [*staying, *told]]

    def finish(self, errors):
        """Keep the ends of all, each by itself."""
        new = [t for t, error in errors.items() if error is None and not _is_kept(t)]
        if not new:
            self._forget()
            return
        # First together: who is interrupted here has all of them, or can go on.
        self.file.write(self._members([], errors))
        for training in new:
            training.checkpoint.finish(training.state)
        self._forget()

    def _forget(self):
        with suppress(OSError):
            self.file.path.unlink()


def _is_kept(training):
    return training.checkpoint.end.path.exists()


def _member(place, training, errors):
    error = errors.get(training)
    has_ended = training in errors
    state = None
    if error is None:
        state = training.state
        state = state.end_dict() if has_ended else state.state_dict()
    return {
        "place": place,
        "has_ended": has_ended,
        "error": None if error is None else str(error),
        "state": state,
    }


class NoStackedCheckpoint:
    """What trainings have that keep nothing."""

    def __init__(self, trainings):
        self.trainings = trainings

    def held(self):
        """As in `StackedCheckpoint`."""
        return nullcontext()

    def resume(self):
        """As in `StackedCheckpoint`."""
        return list(self.trainings), {}

    def note(self, staying, errors):
        """As in `StackedCheckpoint`."""

    def finish(self, errors):
        """As in `StackedCheckpoint`."""


def checkpoint_of(trainings):
    """Where trainings of one kind keep their state."""
    keep = all(isinstance(t.checkpoint, Checkpoint) for t in trainings)
    return (StackedCheckpoint if keep else NoStackedCheckpoint)(trainings)
