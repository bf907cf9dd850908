"""What a fit depends on: digests of its parameters, its code and its data."""

import hashlib
import os
from numbers import Integral

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator

from skanticipate._version import __version__
from skanticipate.data.files import pieces_hash
from skanticipate.data.parameters import nested_estimators
from skanticipate.data.rows import RowView, mapped_file
from skanticipate.data.validation import chunks
from skanticipate.data.warn import warn
from skanticipate.estimator.provenance import surroundings
from skanticipate.estimator.state import describe, parts
from skanticipate.training.runtime import resolve_device

# Parameters of which no bit of a fit depends: places to keep things, and what is said.
_ASIDE = {"checkpoint": None, "checkpoint_every": 1, "teacher_cache": None}
_ASIDE |= {"verbose": 0}
_OF_JOBLIB = "joblib_memmapping_folder_"  # of files that are other ones in every run


def without_places(estimator):
    """Clone of an estimator without parameters that no bit of its fit depends on."""
    bare = clone(estimator)
    for part in _not_frozen(bare):
        for name in part.get_params(deep=False).keys() & _ASIDE.keys():
            setattr(part, name, _ASIDE[name])
    return bare


def kept_beside(teacher, student):
    """A teacher whose networks of ours keep their fits where the student keeps its own.

    Parameters
    ----------
    teacher : estimator or None
        It stays as it is; a clone is changed.
    student : BaseAnticipator

    Returns
    -------
    estimator or None
    """
    if student.checkpoint is None or not isinstance(teacher, BaseEstimator):
        return teacher
    teacher = clone(teacher)
    for part in _not_frozen(teacher):
        if getattr(part, "checkpoint", "none") is None and not part.warm_start:
            part.checkpoint = student.checkpoint
            part.checkpoint_every = student.checkpoint_every
    return teacher


def _not_frozen(estimator):
    """An estimator and those among its parameters; of a frozen one none."""
    if isinstance(estimator, FrozenEstimator) or not isinstance(
        estimator, BaseEstimator
    ):
        return []
    return [estimator, *nested_estimators(estimator)]


def check_can_go_on(estimator):
    """Refuse parameters with which a fit that is kept would not be the same again.

    Raises
    ------
    ValueError
        If `random_state` is no integer, another generator stands among the parameters,
        or `warm_start` is True.
    """
    if not isinstance(estimator.random_state, Integral):
        raise ValueError(
            f"checkpoint needs an integer random_state, got {estimator.random_state!r}:"
            " else every fit is another one, and none goes on from an earlier one."
        )
    if any(isinstance(part, np.random.RandomState) for part in parts(estimator)):
        raise ValueError(
            "checkpoint needs every random_state to be None or an integer, those of "
            "teachers too: a RandomState makes another fit each time."
        )
    if estimator.warm_start:
        raise ValueError(
            "checkpoint keeps fits that start anew, and warm_start=True goes on from "
            "the weights of the last one: set one of the two."
        )


def code_of(estimator, keeper):
    """What `surroundings` finds; None, with a warning, where no file tells all of it.

    `keeper` is the parameter by which something is kept, which then is not used.
    """
    found, untold = surroundings(estimator)
    if not untold:
        return found
    warn(
        f"{keeper} is not used: {'; '.join(untold)}, so what is kept could not be told "
        "from that of other code. Define classes at the top level of a module file, "
        "and restart Python after an edit.",
    )
    return None


def fit_key(estimator, samples, validation, shared=None):
    """Digests of all that the fit of an anticipator depends on, by what they are of.

    They are the same in every process. A memory map is told by the name, size and time
    of its file, its place therein and some pieces of it, and is not read; other arrays
    by what they hold.

    Parameters
    ----------
    estimator : BaseAnticipator
        Checked.
    samples, validation : Samples or None
        What it learns from, and what it is judged on.
    shared : dict or None, default=None
        Digests of arrays that other fits found, and that stay where they are.

    Returns
    -------
    dict of str to str, or None
        None, with a warning, where no file tells what code the fit runs.

    Raises
    ------
    TypeError
        If a parameter cannot be told from others.
    """
    bare = without_places(estimator)
    found = code_of(bare, "checkpoint")
    if found is None:
        return None
    bare.device = resolve_device(estimator.device)
    vars(bare).pop("_metadata_request", None)  # what others pass on to it
    try:
        told = {"parameters": describe(bare).hex(), "code": describe(found).hex()}
    except TypeError as error:
        raise TypeError(
            f"checkpoint cannot tell this fit from others: {error}. Set "
            "checkpoint=None, or change that parameter."
        ) from error
    classes = describe([estimator.classes_, estimator.unlabeled_label_]).hex()
    return told | {
        "version": __version__,
        "metadata routing": str(get_config()["enable_metadata_routing"]),
        "classes": classes,
        "data": _of_samples(samples, shared),
        "validation data": _of_samples(validation, shared),
    }


def _of_samples(samples, shared):
    if samples is None:
        return "none"
    beside = {"codes": samples.codes, "weights": samples.weights}
    beside |= {"groups": samples.groups}
    told = {"clips": samples.rows, **beside, **samples.signals}
    digests = [[name, _of_rows(rows, shared)] for name, rows in told.items()]
    return describe(digests).hex()


def _of_rows(rows, shared):
    """Digest of an array or a view of rows."""
    if rows is None:
        return "none"
    if not isinstance(rows, RowView):
        return describe(rows).hex()
    place = mapped_file(rows)
    if place is not None and _OF_JOBLIB not in os.fspath(place[0]):
        path, start = os.path.abspath(place[0]), place[1]
        # Another file may have the same size and the date that it was given.
        pieces = pieces_hash(path, start, rows.base.nbytes)
        status = os.stat(path)
        marks = [path, status.st_size, status.st_mtime_ns, start, pieces]
        return describe([marks, rows.base.shape, str(rows.dtype), rows.rows]).hex()
    if shared is None or type(rows.base) is not np.ndarray:
        return digest_of(rows)
    base = rows.base
    place = base.ctypes.data, base.shape, base.strides, base.dtype.str
    name = "digest", place, None if rows.rows is None else rows.rows.tobytes()
    if name not in shared:
        shared[name] = digest_of(rows), base  # which stays there, not to be another
    return shared[name][0]


def digest_of(rows):
    """Digest of what the rows of a view hold, read in chunks.   -> str."""
    digest = hashlib.sha256(f"{rows.shape} {rows.dtype}".encode())
    for _, chunk in chunks(rows):
        if chunk.dtype.kind in "fiub":
            digest.update(np.ascontiguousarray(chunk))
        else:  # labels of past actions, or texts
            digest.update(describe(chunk))
    return digest.hexdigest()
