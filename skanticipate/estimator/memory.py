"""Memory that runs out: what was asked for, and what to lower."""

import math
from contextlib import contextmanager

import numpy as np

# What torch says of it, which raises a RuntimeError on a CPU.
_SAYINGS = (
    *("DefaultCPUAllocator", "out of memory", "bad_alloc"),
    "Storage size calculation overflowed",
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
)


class OutOfMemory(MemoryError):
    """A MemoryError of a fit that says what to do."""


class OutOfMemoryForAnswers(MemoryError):
    """One of a prediction, which may be a part of a fit."""


@contextmanager
def naming_memory(estimator, rows):
    """Say of memory that runs out in a fit what took it, and what to lower.

    Parameters
    ----------
    estimator : BaseAnticipator
        Being fitted.
    rows : array-like of shape (n, ...)
        Clips, as they were given.

    Raises
    ------
    MemoryError
        In place of one of NumPy, or of what torch raises.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        name_memory_of_fit(error, estimator, rows)
        raise


def name_memory_of_fit(error, estimator, rows):
    """Raise another error for one of a fit, if that says that memory ran out."""
    is_told = isinstance(error, OutOfMemory)  # by a teacher's own fit
    if is_told or not _can_be_told(error, rows):
        return
    while isinstance(error, OutOfMemoryForAnswers):
        error = error.__cause__
    raise OutOfMemory(
        f"Memory ran out in the fit of a {type(estimator).__name__} to "
        f"{_of_clips(estimator, rows)}: {_in_short(error)}. "
        f"Lower {_what_to_lower(estimator)}."
    ) from error


def name_memory_of_answers(error, estimator, rows):
    """Raise another error for one of a prediction, if that says that memory ran out."""
    if not _can_be_told(error, rows):
        return
    n_bytes = 4 * len(rows) * len(estimator.classes_)
    raise OutOfMemoryForAnswers(
        f"Memory ran out in a prediction for {_of_shape(rows)}: "
        f"{_in_short(error)}. Scores of all rows take {n_bytes:,} bytes for each "
        "stage of the network. Ask about fewer rows at a time."
    ) from error


@contextmanager
def naming_memory_of_streams(n_streams):
    """Say so of the states of `n_streams` videos; None is one that has no number."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if n_streams is None or not _ran_out(error):
            raise
        raise MemoryError(
            f"Memory ran out for the states of {n_streams:,} streams: "
            f"{_in_short(error)}. Lower n_streams."
        ) from error


def _ran_out(error):
    return isinstance(error, MemoryError) or any(s in str(error) for s in _SAYINGS)


def _can_be_told(error, rows):
    """Whether memory ran out, over clips that say how many they are."""
    return hasattr(rows, "__len__") and _ran_out(error)


def _in_short(error):
    """The line of an error that tells of memory, else the first.   -> str."""
    lines = str(error).strip().splitlines() or ["nothing more is known"]
    telling = [line for line in lines if any(s in line for s in _SAYINGS)]
    return (telling or lines)[0].strip().rstrip(".")


def _of_clips(estimator, rows):
    """What a fit was given; of an array, how much a batch of it takes.   -> str."""
    if not isinstance(getattr(rows, "dtype", None), np.dtype):
        return _of_shape(rows)
    size = min(estimator.batch_size, len(rows))
    n_bytes = size * math.prod(rows.shape[1:]) * (8 if _is_wide(estimator, rows) else 4)
    return (
        f"{_of_shape(rows)} ({rows.dtype}), of which a batch of {size} takes "
        f"{n_bytes:,} bytes"
    )


def _of_shape(rows):
    shape = getattr(rows, "shape", None)
    return f"{len(rows)} clips" if shape is None else f"clips of shape {shape}"


def _is_wide(estimator, rows):
    wide = rows.dtype.kind == "f" and rows.dtype.itemsize > 4
    return estimator.dtype == "float64" or (estimator.dtype == "auto" and wide)


def _what_to_lower(estimator):
    """What takes memory, the likeliest first.   -> str."""
    found = [f"batch_size={estimator.batch_size}", "the width of the network"]
    if getattr(estimator, "cross_fit", 0):
        found.append(f"cross_fit={estimator.cross_fit}")
    told = f"{', '.join(found)}, or the n_jobs or width of a search"
    if getattr(estimator, "teacher_cache", "none") is None:
        told += "; name a folder as teacher_cache, so that maps are read from a file"
    return f"{told}; pass clips as a memory map, or set dtype='float32'"
