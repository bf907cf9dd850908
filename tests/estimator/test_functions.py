"""Functions among the parameters: optimisers and scorers of the user's own."""

import functools
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.metrics import accuracy_score, fbeta_score, get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

import skanticipate
from skanticipate import MLP, BatchedGridSearchCV, DistilledAnticipator
from skanticipate import SmoothedAnticipator as Smoothed
from skanticipate.datasets import make_kitchen
from skanticipate.estimator import state
from skanticipate.metrics import (
    labelled_scorer,
    mean_top_k_recall_scorer,
    top_k_scorer,
)

DATA = make_kitchen(6, 10, n_features=6, random_state=0)
PAST, FUTURE, Y = DATA.X_past, DATA.X_future, DATA.y
PARAMS = {"max_epochs": 2, "random_state": 0}


def rmsprop(parameters, lr):
    return torch.optim.RMSprop(parameters, lr=lr)


def test_a_model_of_a_users_optimiser_is_that_of_the_optimiser(tmp_path):
    model = Smoothed(MLP(4), optimizer=rmsprop, **PARAMS).fit(PAST, Y)
    assert clone(model).optimizer is rmsprop
    again = pickle.loads(pickle.dumps(model))
    assert again.optimizer is rmsprop
    with pytest.warns(UserWarning, match="Left out of the .*r.optimizer. It"):
        model.save(tmp_path / "model")
    loaded = skanticipate.load(tmp_path / "model")
    assert loaded.optimizer is None
    assert_array_equal(loaded.predict_proba(PAST), model.predict_proba(PAST))
    with pytest.raises(ValueError, match="'optimizer' parameter"):
        loaded.fit(PAST, Y)
    loaded.set_params(optimizer=rmsprop).fit(PAST, Y)
    assert_array_equal(loaded.predict_proba(PAST), model.predict_proba(PAST))


@pytest.mark.filterwarnings("ignore:.* kept the weights of the first epoch")
def test_functions_of_teachers_are_left_out_too(tmp_path):
    model = DistilledAnticipator(
        MLP(4), scoring=get_scorer("f1_macro"), early_stopping=True, **PARAMS
    )
    model.fit(PAST, Y, FUTURE, groups=DATA.groups)
    with pytest.warns(UserWarning) as caught:
        model.save(tmp_path / "model")
    (warning,) = caught
    for name in ("DistilledAnticipator.scoring", "teacher_.scoring"):
        assert name in str(warning.message)


@pytest.mark.parametrize("kind", [GridSearchCV, BatchedGridSearchCV])
def test_optimisers_in_a_search(kind):
    grid = {"optimizer": ["adam", rmsprop, torch.optim.NAdam], "lr": [0.01, 0.1]}
    model = Smoothed(MLP(4), dtype="float64", classes=np.unique(Y), **PARAMS)
    search = kind(model, grid, cv=KFold(2)).fit(PAST, Y)
    expected = [
        cross_val_score(clone(model).set_params(**params), PAST, Y, cv=KFold(2))
        for params in search.cv_results_["params"]
    ]
    found = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(found, np.mean(expected, axis=1))


def test_a_function_is_told_by_its_name():
    one, other = (Smoothed(optimizer=f) for f in (rmsprop, torch.optim.RMSprop))
    assert state.describe(one) == state.describe(clone(one))
    assert state.describe(one) != state.describe(other)
    partials = [
        Smoothed(optimizer=functools.partial(torch.optim.SGD, momentum=m))
        for m in (0.1, 0.1, 0.9)
    ]
    same, again, another = map(state.describe, partials)
    assert same == again != another
    with pytest.raises(TypeError, match="optimizer is <function .*cannot be imported"):
        state.describe(Smoothed(optimizer=lambda p, lr: rmsprop(p, lr)))


SCORERS = [
    lambda: make_scorer(fbeta_score, beta=1, average="macro"),
    lambda: make_scorer(fbeta_score, beta=2, average="macro"),
    lambda: make_scorer(accuracy_score),
    lambda: make_scorer(accuracy_score, greater_is_better=False),
    lambda: top_k_scorer(1),
    lambda: top_k_scorer(2),
    lambda: mean_top_k_recall_scorer(2),
    lambda: mean_top_k_recall_scorer(2, labels=[0, 1]),
    lambda: labelled_scorer("accuracy"),
    lambda: labelled_scorer("balanced_accuracy"),
    lambda: labelled_scorer(make_scorer(accuracy_score, greater_is_better=False)),
]


def test_scorers_are_told_by_what_they_hold():
    told = [state.describe(Smoothed(scoring=scorer())) for scorer in SCORERS]
    assert told == [state.describe(Smoothed(scoring=scorer())) for scorer in SCORERS]
    assert len(set(told)) == len(SCORERS)
    mine = make_scorer(lambda y, answer: 0.0)
    with pytest.raises(TypeError, match="scoring is <function .*cannot be imported"):
        state.describe(Smoothed(scoring=mine))


@pytest.mark.filterwarnings("ignore:.* kept the weights of the first epoch")
def test_fits_that_watch_a_scorer_are_kept(tmp_path):
    options = {"early_stopping": True, "checkpoint": tmp_path, **PARAMS}
    for number, scorer in enumerate((top_k_scorer(1), top_k_scorer(2))):
        model = Smoothed(MLP(4), scoring=scorer, **options)
        expected = clone(model).set_params(checkpoint=None)
        expected.fit(PAST, Y, groups=DATA.groups)
        for _ in range(2):  # trained, then read
            found = clone(model).fit(PAST, Y, groups=DATA.groups)
            assert found.history_ == expected.history_
            assert len(list(tmp_path.iterdir())) == number + 1
    mine = make_scorer(lambda y, answer: 0.0)
    with pytest.warns(UserWarning, match="checkpoint is not used: .*lambda"):
        clone(model).set_params(scoring=mine).fit(PAST, Y, groups=DATA.groups)


def test_a_cache_keeps_teachers_of_functions_that_can_be_imported(tmp_path):
    def fitted(optimizer, folder):
        model = DistilledAnticipator(
            MLP(4), optimizer=optimizer, teacher_cache=folder, **PARAMS
        )
        return model.fit(PAST, Y, FUTURE).predict_proba(PAST)

    with pytest.warns(UserWarning, match="teacher_cache is not used: .*lambda"):
        expected = fitted(lambda p, lr: rmsprop(p, lr), tmp_path)
    assert not list(tmp_path.iterdir())
    for _ in range(2):
        assert_array_equal(fitted(rmsprop, tmp_path), expected)
        assert len(list(tmp_path.glob("*.teacher.*"))) == 1
    fitted(torch.optim.NAdam, tmp_path)
    assert len(list(tmp_path.glob("*.teacher.*"))) == 2
