"""Where and how a fit computes: device, precision, threads, random stream."""

import functools
import threading
from contextlib import contextmanager

import numpy as np
import torch

# Below this number of parameters a second thread costs more than it brings.
_SMALL_NETWORK = 5_000_000
_GLOBAL_STREAM = threading.RLock()
_THREAD_COUNT = threading.Lock()
_n_computing, _threads_outside = 0, 1


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
        return torch.float64 if rows.dtype == np.float64 else torch.float32
    return getattr(torch, dtype)


def clip_reader(rows, *, dtype, device):
    """Build take(indices (B,)) -> clips (B, ...) as the network takes them."""
    numpy_dtype = np.float64 if dtype == torch.float64 else np.float32

    def take(samples):
        clips = rows.take(samples.numpy()).astype(numpy_dtype, copy=False)
        return torch.from_numpy(clips).to(device)

    return take


@contextmanager
def torch_threads(n_threads, network):
    """Let torch use so many threads in this thread of Python, then as before.

    None means one for small networks: on a shared machine the threads of a small
    product wait for each other far longer than they compute.
    """
    global _n_computing, _threads_outside
    small = sum(p.numel() for p in network.parameters()) < _SMALL_NETWORK
    with _THREAD_COUNT:
        # What torch gives to a new thread of Python is what was set last, anywhere:
        # only the first to come in sees the user's number.
        if _n_computing == 0:
            _threads_outside = torch.get_num_threads()
        _n_computing += 1
        torch.set_num_threads(n_threads or (1 if small else _threads_outside))
    try:
        yield
    finally:
        with _THREAD_COUNT:
            _n_computing -= 1
            torch.set_num_threads(_threads_outside)


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
