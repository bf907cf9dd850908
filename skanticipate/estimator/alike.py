"""Whether all ranks of `data_parallel` are about to do the same fit."""

from numbers import Number

import numpy as np

from skanticipate.estimator.fit_key import without_places
from skanticipate.estimator.state import describe

_SOME = 8  # rows of each array that are compared
_PLAIN = Number, str, type(None)


def check_ranks_alike(ranks, estimator, checked):
    """Compare parameters, shapes, labels, some rows and seeds with the other ranks.

    Raises
    ------
    ValueError
        On every rank, if one of them differs.
    """
    told = {
        f"the parameter {name}": _text(value)
        for name, value in without_places(estimator).get_params().items()
    }
    told["random_state (what is drawn by it)"] = _text(checked.seeds)
    told["the classes"] = _text(estimator.classes_)
    told |= _of_samples(checked.samples, "")
    if checked.validation is not None:
        told |= _of_samples(checked.validation, " of the validation rows")
    ranks.agree(
        told,
        "start all of them with the same data and parameters, and with an integer "
        "random_state.",
    )


def _of_samples(samples, whose):
    told = {f"the labels{whose}": _text(samples.codes)}
    arrays = {"X_past": samples.rows, "sample_weight": samples.weights}
    arrays |= {"groups": samples.groups, **samples.signals}
    for name, rows in arrays.items():
        shape = getattr(rows, "shape", None), str(getattr(rows, "dtype", None))
        told[f"the shape of {name}{whose}"] = _text(shape)
        if shape[0]:
            some = np.linspace(0, len(rows) - 1, _SOME).astype(np.intp)
            told[f"some rows of {name}{whose}"] = _text(np.asarray(rows[some]))
    return told


def _text(value):
    """A value as a text that is equal for equal ones, as far as that can be told."""
    if isinstance(value, _PLAIN):
        return repr(value)
    try:
        return describe(value).hex()
    except TypeError:  # what has no content that could be told, such as a lambda
        return type(value).__name__
