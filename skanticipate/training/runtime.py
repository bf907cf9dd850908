"""Where and how a fit computes: device, precision, threads, streams, processes."""

import functools
import os
import sys
import threading
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_random_state

from skanticipate.data.parameters import Function
from skanticipate.data.validation import chunks

# Below this number of parameters a second thread costs more than it brings.
_SMALL_NETWORK = 5_000_000
_LARGEST_WHOLE = 1 << 24  # float32 counts no further
_GLOBAL_STREAM = threading.RLock()
_THREAD_COUNT = threading.Lock()
# The `Ranks` of the region of `data_parallel`; None outside.
RANKS: ContextVar[Any] = ContextVar("ranks", default=None)
_REGION = threading.local()  # n_threads of the region that a thread of Python is in
_n_computing, _threads_outside = 0, 1  # threads of Python in regions; of torch
_FORKED_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC of Linux, in the flags of a process


class Compute(NamedTuple):
    """Where and in which precision a fit computes: torch's device and type."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def resolve(cls, device, dtype, precision, rows):
        """What the parameters of an estimator mean for such clips."""
        device, dtype = resolve_device(device), resolve_dtype(dtype, rows)
        if precision is not None:
            _check_precision(precision, device, dtype)
        return cls(device, dtype)

    def floats(self, values):
        """Array as a tensor of the network's precision, shared where that is so."""
        values = np.require(values, requirements="CW")  # else torch cannot share it
        return torch.as_tensor(values, dtype=self.dtype, device=self.device)

    def indices(self, values):
        """Whole numbers as a tensor."""
        return torch.as_tensor(values, dtype=torch.int64, device=self.device)

    def place(self, module):
        """Module on the device, in the precision."""
        return module.to(device=self.device, dtype=self.dtype)


def resolve_device(device):
    """The device of a name; "auto" is the first GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} names no device: use 'auto', 'cpu', 'cuda' or 'cuda:1'."
        ) from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r}, but torch finds no CUDA device: use 'auto' or 'cpu'."
        )
    return found


def resolve_dtype(dtype, rows):
    """The precision of a name; "auto" is float64 for what float32 cannot hold."""
    if dtype == "auto":
        return torch.float64 if _is_wide(rows) else torch.float32
    return getattr(torch, dtype)


def _check_precision(precision, device, dtype):
    """Refuse bfloat16 beside float64, or on a device that does not compute in it."""
    if dtype == torch.float64:
        raise ValueError(
            f"precision={precision!r} trains weights of float32, but dtype is float64, "
            "as it is by 'auto' for clips of float64: set dtype='float32', or "
            "precision=None."
        )
    old = device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)
    if old or device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"precision={precision!r} needs a CPU, or a CUDA device of compute "
            f"capability 8.0 or more; device is {str(device)!r}: set precision=None."
        )


def answer_of(network, clips, precision=None):
    """What a network says of clips (B, ...) in training, in the precision of the clips.

    Under "bf16" its products are computed in bfloat16, and its weights stay as they
    are. What is made of the answer, losses and gradients of weights, is of the
    precision of the clips again.
    """
    if precision is None:
        return network(clips)
    with torch.autocast(clips.device.type, torch.bfloat16):
        output = network(clips)
    # Torch does so at the end of the outermost region only: in one of the caller's, the
    # next step would go by the weights of this one.
    torch.clear_autocast_cache()
    return output._replace(
        **{
            name: value.to(clips.dtype)
            for name, value in output._asdict().items()
            if torch.is_tensor(value) and value.is_floating_point()
        }
    )


def _is_wide(rows):
    kind, n_bytes = rows.dtype.kind, rows.dtype.itemsize
    if kind in "iu" and n_bytes > 2:
        return any(
            max(int(part.max()), -int(part.min())) > _LARGEST_WHOLE
            for _, part in chunks(rows)
        )
    return kind == "f" and n_bytes > 4


def torch_threads(n_threads, network=None):
    """Context: so many threads of torch in this thread of Python, then as before.

    None means one for small networks, and where there is none: on a shared machine the
    threads of a small product wait for each other far longer than they compute. In a
    forked child it is always one: the threads that its parent may have used are not
    there, and OpenMP would wait for them for ever.
    """
    if _forked or (n_threads is None and _size(network) < _SMALL_NETWORK):
        n_threads = 1
    modes = _own_modes()
    if modes:
        return _entered(_Region(n_threads), *modes)
    is_there = n_threads is not None and n_threads == _number_around()
    return nullcontext() if is_there else _Region(n_threads)


def _own_modes():
    """What computes in the precision and on the device of the estimator.

    Not in those of its caller.   -> list of contexts, nearly always empty
    """
    kinds = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    modes = [torch.autocast(kind, enabled=False) for kind in kinds]
    # As `torch.get_default_device`, which takes as long as the product of a row.
    if not torch.empty(0).is_cpu:  # what is elsewhere is said to be
        modes.append(torch.device("cpu"))
    return modes


@contextmanager
def _entered(*contexts):
    with ExitStack() as entered:
        for context in contexts:
            entered.enter_context(context)
        yield


def _size(network):
    """Number of parameters; noted, since counting takes as long as a small batch."""
    if network is None:
        return 0
    noted = vars(network)
    if "_n_parameters" not in noted:
        noted["_n_parameters"] = sum(p.numel() for p in network.parameters())
    return noted["_n_parameters"]


def callers_threads():
    """Let code that is not ours have its user's number, inside of a region too.

    Not in a forked child, where more than one thread would wait for ever.
    """
    inside = _number_around() is not None and not _forked
    return _Region(None) if inside else nullcontext()


class _Region:
    """Context with a number of threads; None means that outside of all regions.

    A class, as two generators take a tenth of the time of a step of a stream.
    """

    def __init__(self, n_threads):
        self.n_threads = n_threads

    def __enter__(self):
        global _n_computing, _threads_outside
        self.around = around = _number_around()
        with _THREAD_COUNT:
            # What torch gives to a new thread of Python is what was set last, anywhere:
            # only the first to come in sees the user's number.
            if _n_computing == 0:
                _threads_outside = torch.get_num_threads()
            inside = self.n_threads or _threads_outside
            torch.set_num_threads(inside)  # first: where it raises there is no region
            _n_computing += around is None
            _REGION.n_threads = inside

    def __exit__(self, *_):
        global _n_computing
        with _THREAD_COUNT:
            _n_computing -= self.around is None
            _REGION.n_threads = self.around
            torch.set_num_threads(self.around or _threads_outside)


def _number_around():
    return getattr(_REGION, "n_threads", None)


def _was_forked_with_torch():
    """Whether a process that had torch was forked, and imports us only now.

    Linux says of every process whether it was forked and no program started since, as
    `python` would be. What came before the package in `sys.modules` may have been there
    before the fork: a child that imports torch by itself has as little of a parent's
    threads as one that imports us first, but is taken for one that has.
    """
    loaded = list(sys.modules)
    package = __name__.partition(".")[0]
    if "torch" not in loaded[: loaded.index(package)]:
        return False
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # of the third on
        return bool(int(fields[6]) & _FORKED_NOT_EXECUTED)
    except (OSError, ValueError, IndexError):  # not as on Linux
        return False


_forked = _was_forked_with_torch()


def _start_in_child():
    """Forget the other threads of the parent, and what they held when it forked."""
    global _GLOBAL_STREAM, _THREAD_COUNT, _n_computing, _forked
    _GLOBAL_STREAM, _THREAD_COUNT = threading.RLock(), threading.Lock()
    _n_computing = int(_number_around() is not None)
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_in_child)


def current_ranks():
    """Those that share the fits of this thread, or None where there are none.

    A thread or a process that one of them starts is alone.
    """
    ranks = RANKS.get()
    return ranks if ranks is not None and ranks.pid == os.getpid() else None


def is_first():
    """Whether this process is the one that writes and prints."""
    ranks = current_ranks()
    return ranks is None or ranks.number == 0


def of_first(value):
    """What rank 0 found, on every rank; where there are none, the value itself."""
    ranks = current_ranks()
    return value if ranks is None else ranks.of_first(value)


class _Own(threading.local):
    """A stream of each thread: to seed it anew is faster than to make another."""

    def __init__(self):
        self.stream = np.random.RandomState(0)


_OWN = _Own()


def seeds_of(random_state, purposes):
    """One integer from `random_state`, and from it one for each purpose.

    Parameters
    ----------
    random_state : int, RandomState instance or None
    purposes : sequence
        What the seeds are for.

    Returns
    -------
    dict of purpose to int
        Below 2 ** 32.
    """
    if isinstance(random_state, Integral):
        stream = _OWN.stream
        stream.seed(random_state)
    else:
        stream = check_random_state(random_state)
    root = stream.randint(np.iinfo(np.int32).max)
    words = np.random.SeedSequence(root).generate_state(len(purposes))
    return dict(zip(purposes, words.tolist(), strict=True))


@contextmanager
def seeded_global_stream(seed):
    """A forked and seeded copy of torch's global random stream, one user at a time."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with _GLOBAL_STREAM, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)  # of no device that is not forked
        if devices:
            torch.cuda.manual_seed_all(seed)
        yield


def global_streams(device):
    """Torch's global random streams that networks on a device draw from, by name."""
    streams = {"global": torch.default_generator}
    if device.type == "cuda":
        number = torch.cuda.current_device() if device.index is None else device.index
        streams["global of device"] = torch.cuda.default_generators[number]
    return streams


@contextmanager
def with_gradients():
    """Train as ever where a caller is in `torch.no_grad` or `torch.inference_mode`."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def all_or_nothing(fit: Function) -> Function:
    """Put the estimator back as it was if `fit` ends in any exception."""

    @functools.wraps(fit)
    def wrapper(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            with with_gradients():
                return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapper  # type: ignore[return-value]  # it takes what `fit` takes
