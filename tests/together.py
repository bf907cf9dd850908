"""Fits of `fit_many` beside fits one by one, which are their oracle."""

from unittest import mock

import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone

from skanticipate import fit_many
from skanticipate.estimator import many

N, T, D, C = 47, 5, 6, 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D))
CLIPS = RNG.normal(size=(N, T, D))
FUTURES = RNG.normal(size=(N, T, D))
Y = np.arange(N) % C
SOME = np.where(RNG.random(N) < 0.4, -1, Y)  # labels of some rows
PAST = RNG.integers(0, C, (N, 3)).astype(object)  # actions before
NAMES = np.array(["cut leek", "cut cup", "wash leek", "wash cup"])[Y]
FOLDS = [np.flatnonzero(np.arange(N) % 3 != k) for k in (0, 2)]  # 31 and 32 rows
EXACT = {"dtype": "float64", "random_state": 0, "max_epochs": 2, "batch_size": 16}


def of(values, rows):
    """Rows of what has as many as there are clips."""
    if rows is None or values is None:
        return values
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    return np.asarray(values)[rows]


def fit_counting(*args, **options):
    """Call `fit_many`.   -> fitted estimators, sizes of what was trained as one."""
    sizes, run = [], many.run_together

    def spy(trainings):
        sizes.append(len(trainings))
        return run(trainings)

    with mock.patch.object(many, "run_together", spy):
        return fit_many(*args, **options), sizes


def assert_as_alone(
    models, X, y, *, train=None, together=None, atol=1e-12, width="auto", **signals
):
    """Compare with the own fit of each.   -> fitted estimators.

    `together` is how many are to be one computation at some time; None means all.
    """
    fitted, sizes = fit_counting(models, X, y, train=train, width=width, **signals)
    assert max(sizes, default=1) == (len(models) if together is None else together)
    whole = {"X_val", "y_val"}
    for k, (model, found) in enumerate(zip(models, fitted, strict=True)):
        rows = None if train is None else train[k]
        own = {n: v if n in whole else of(v, rows) for n, v in signals.items()}
        expected = clone(model).fit(of(X, rows), of(y, rows), **own)
        assert type(found) is type(model) and found is not model
        assert_alike(found, expected, atol, f"fit {k}")
        proba = found.predict_proba(X)
        assert_allclose(proba, expected.predict_proba(X), rtol=0, atol=atol)
        assert_array_equal(found.predict(X), expected.predict(X))
    return fitted


def assert_alike(found, expected, atol, where):
    """Compare all that is in two values, as deep as it goes."""
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for name, value in expected.items():
            assert_alike(found[name], value, atol, f"{where}.{name}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for k, pair in enumerate(zip(found, expected, strict=True)):
            assert_alike(*pair, atol, f"{where}.{k}")
    elif isinstance(expected, torch.nn.Module):
        assert not found.training and not expected.training, where
        assert_alike(dict(found.state_dict()), dict(expected.state_dict()), atol, where)
    elif isinstance(expected, torch.Tensor):
        assert_allclose(found, expected, rtol=0, atol=atol, err_msg=where)
    elif isinstance(expected, BaseEstimator):
        assert_alike(*map(_told, (found, expected)), atol, where)
    elif isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        assert_allclose(found, expected, rtol=0, atol=atol, err_msg=where)
    elif isinstance(expected, np.ndarray):
        assert_array_equal(found, expected, err_msg=where)
    elif isinstance(expected, float):
        assert_allclose(found, expected, rtol=1e-12, atol=atol, err_msg=where)
    elif isinstance(expected, str | int | bytes) or expected is None:
        assert found == expected, where


def _told(estimator):
    """Parameters and attributes; a view of an array notes that it has no columns."""
    values = vars(estimator).items()
    return {k: v for k, v in values if v is not None or not k.startswith("_")}
