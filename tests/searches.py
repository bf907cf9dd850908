"""Searches of scikit-learn and of ours on small data, and how they are compared."""

from copy import copy

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import MLP, BatchedGridSearchCV, SmoothedAnticipator

X, Y = make_classification(
    120, 8, n_informative=6, n_classes=3, random_state=0, n_clusters_per_class=1
)
FUTURE = X + 0.1
GROUPS = np.arange(120) % 12
SOME = np.where(np.arange(120) % 5 == 0, -1, Y)
MODEL = SmoothedAnticipator(
    MLP(8), max_epochs=2, batch_size=32, lr=0.02, random_state=0
)
PIPELINE = Pipeline([("scale", StandardScaler()), ("model", MODEL)])
GRID = {"smoothing": [0.0, 0.2], "lr": [0.01, 0.05]}


def assert_same_results(ours, theirs):
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    for key, expected in theirs.cv_results_.items():
        found = ours.cv_results_[key]
        if key == "params":
            assert list(map(repr, found)) == list(map(repr, expected))
            continue
        assert type(found) is type(expected), key
        assert found.dtype == expected.dtype, key
        if key.startswith("param_"):
            assert found.tolist() == expected.tolist() or repr(found) == repr(expected)
            assert np.array_equal(found.mask, expected.mask)
        elif not key.endswith("time"):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12, err_msg=key)
    for name in ("best_index_", "best_score_", "n_splits_", "multimetric_"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
        assert getattr(ours, name, None) == pytest.approx(
            getattr(theirs, name, None), abs=1e-12, nan_ok=True
        )
    assert repr(getattr(ours, "best_params_", None)) == repr(
        getattr(theirs, "best_params_", None)
    )
    fitted = {name for name in vars(theirs) if name.endswith("_")}
    assert fitted == {name for name in vars(ours) if name.endswith("_")}
    assert repr(ours.scorer_) == repr(theirs.scorer_)


def assert_same(estimator, grid, X=X, y=Y, *, cv=3, fit=None, **options):
    """Search in both ways, and compare.   -> our search."""
    theirs, ours = (
        # A copy for each, as some fits write into what they get.
        search(estimator, grid, cv=cv, **options).fit(copy(X), y, **fit or {})
        for search in (GridSearchCV, BatchedGridSearchCV)
    )
    assert_same_results(ours, theirs)
    if options.get("refit", True):
        expected = theirs.predict(copy(X))
        assert np.array_equal(ours.predict(copy(X)), expected)
        assert ours.score(copy(X), y) == pytest.approx(
            theirs.score(copy(X), y), abs=1e-12
        )
        assert type(ours.best_estimator_) is type(theirs.best_estimator_)
    return ours
