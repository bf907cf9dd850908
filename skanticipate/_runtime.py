"""Where and how a fit computes: device, precision, threads, random stream."""

import functools
import os
import threading
from contextlib import contextmanager, nullcontext

import numpy as np
import torch

# Below this number of parameters a second thread costs more than it brings.
_SMALL_NETWORK = 5_000_000
_GLOBAL_STREAM = threading.RLock()
_THREAD_COUNT = threading.Lock()
_REGION = threading.local()  # n_threads of the region that a thread of Python is in
_n_computing, _threads_outside = 0, 1  # threads of Python in regions; of torch
_forked = False


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
    """The precision of a name; "auto" is float64 for float64 input, else float32."""
    if dtype == "auto":
        wide = rows.dtype.kind == "f" and rows.dtype.itemsize >= 8
        return torch.float64 if wide else torch.float32
    return getattr(torch, dtype)


def clip_reader(rows, *, dtype, device):
    """Build take(indices (B,)) -> clips (B, ...) as the network takes them."""
    numpy_dtype = np.float64 if dtype == torch.float64 else np.float32

    def take(samples):
        # Another order in memory would be other bits: kernels go by strides.
        clips = np.ascontiguousarray(rows.take(samples.numpy()), numpy_dtype)
        return torch.from_numpy(clips).to(device)

    return take


@contextmanager
def torch_threads(n_threads, network=None):
    """Let torch use so many threads in this thread of Python, then as before.

    None means one for small networks, and where there is none: on a shared machine the
    threads of a small product wait for each other far longer than they compute. In a
    forked child it is always one: the threads that its parent may have used are not
    there, and OpenMP would wait for them for ever.
    """
    size = 0 if network is None else sum(p.numel() for p in network.parameters())
    if _forked or (n_threads is None and size < _SMALL_NETWORK):
        n_threads = 1
    with _region(n_threads):
        yield


def callers_threads():
    """Let code that is not ours have its user's number, inside of a region too.

    Not in a forked child, where more than one thread would wait for ever.
    """
    inside = _number_around() is not None and not _forked
    return _region(None) if inside else nullcontext()


@contextmanager
def _region(n_threads):
    """Set a number; None means that outside of all regions."""
    global _n_computing, _threads_outside
    around = _number_around()
    with _THREAD_COUNT:
        # What torch gives to a new thread of Python is what was set last, anywhere:
        # only the first to come in sees the user's number.
        if _n_computing == 0:
            _threads_outside = torch.get_num_threads()
        _n_computing += around is None
        _REGION.n_threads = n_threads or _threads_outside
        torch.set_num_threads(_REGION.n_threads)
    try:
        yield
    finally:
        with _THREAD_COUNT:
            _n_computing -= around is None
            _REGION.n_threads = around
            torch.set_num_threads(around or _threads_outside)


def _number_around():
    return getattr(_REGION, "n_threads", None)


def _start_in_child():
    """Forget the other threads of the parent, and what they held when it forked."""
    global _GLOBAL_STREAM, _THREAD_COUNT, _n_computing, _forked
    _GLOBAL_STREAM, _THREAD_COUNT = threading.RLock(), threading.Lock()
    _n_computing = int(_number_around() is not None)
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_in_child)


@contextmanager
def seeded_global_stream(seed):
    """A forked and seeded copy of torch's global random stream, one user at a time."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with _GLOBAL_STREAM, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)  # of no device that is not forked
        if devices:
            torch.cuda.manual_seed_all(seed)
        yield


def all_or_nothing(fit):
    """Put the estimator back as it was if `fit` ends in any exception."""

    @functools.wraps(fit)
    def wrapper(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapper
