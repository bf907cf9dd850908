import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from toy_teachers import CLIPS, CODES, Signalled

from skanticipate import MLP, DistilledAnticipator


def student(teacher=None, **params):
    defaults = {"max_epochs": 2, "teacher_weight": 1.0, "random_state": 0}
    return DistilledAnticipator(
        MLP(4), teacher=teacher, classes=range(4), **{**defaults, **params}
    )


def futures(has):
    return np.where(has[:, None], CLIPS, np.nan)


@pytest.mark.filterwarnings("ignore:.* rows with y == -1")
@pytest.mark.parametrize("cross_fit", [0, 3])
def test_a_teacher_sees_labelled_rows_with_a_future(cross_fit):
    y = np.where(np.arange(40) < 12, -1, CODES)
    seen = np.arange(40) % 5 != 0
    groups, weights = np.arange(40) // 2, np.linspace(1, 2, 40)
    given = {"groups": groups, "sample_weight": weights}
    model = student(Signalled(), cross_fit=cross_fit)
    told = model.fit(CLIPS, y, futures(seen), **given).teacher_
    rows = np.flatnonzero(seen & (y >= 0))
    assert_array_equal(told.X_, CLIPS[rows])
    assert_array_equal(told.y_, y[rows])
    assert_array_equal(told.groups_, groups[rows])
    relative = weights[rows] / weights[rows].mean()
    assert_allclose(told.sample_weight_, relative, rtol=1e-12)
    answers = np.where(seen[:, None], np.full(4, 0.25), np.nan)
    other = student().fit(CLIPS, y, teacher_proba=answers, **given)
    assert model.history_ == other.history_


@pytest.mark.filterwarnings("ignore:.* rows with y == -1")
def test_accuracy_counts_labelled_rows_with_a_future():
    y = np.where(np.arange(40) % 8 == 3, -1, CODES)
    seen, groups = np.arange(40) % 5 != 0, np.arange(40) // 10

    class Remembering(LogisticRegression):
        def fit(self, X, y, groups):
            self.groups_ = groups
            return super().fit(X, y)

    model = student(Remembering(), early_stopping=True, validation_fraction=0.2)
    model.fit(CLIPS, y, futures(seen), groups=groups)
    held = ~np.isin(groups, model.teacher_.groups_)
    rows = np.flatnonzero(held & seen & (y >= 0))
    assert 0 < len(rows) < held.sum()
    accuracy = np.mean(model.teacher_.predict(CLIPS[rows]) == y[rows])
    assert {record["teacher_val_accuracy"] for record in model.history_} == {accuracy}
    model.fit(CLIPS, y, futures(seen & ~(held & (y >= 0))), groups=groups)
    assert_array_equal(~np.isin(groups, model.teacher_.groups_), held)
    assert "teacher_val_accuracy" not in model.history_[0]


@pytest.mark.filterwarnings("ignore:.* rows with y == -1")
@pytest.mark.filterwarnings("ignore:teacher_weight is set, but there is no labelled")
def test_a_teacher_without_labelled_futures_has_nothing_to_learn_from():
    y = np.where(np.arange(40) < 12, -1, CODES)
    with pytest.raises(ValueError, match="No labelled row has a future.*FrozenEstim"):
        student(LogisticRegression()).fit(CLIPS, y, futures(y < 0))
    ready = FrozenEstimator(LogisticRegression().fit(CLIPS, CODES))
    answers = np.where((y < 0)[:, None], ready.predict_proba(CLIPS), np.nan)
    model = student(ready).fit(CLIPS, y, futures(y < 0))
    assert model.history_ == student().fit(CLIPS, y, teacher_proba=answers).history_
