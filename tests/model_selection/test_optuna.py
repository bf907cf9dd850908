"""Studies of Optuna over anticipators, against scikit-learn's own cross-validation."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.model_selection import GroupKFold, cross_validate

from skanticipate import LSTM, DistilledAnticipator, SemiSupervisedSplit
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import labelled_scorer

optuna = pytest.importorskip("optuna")
integration = pytest.importorskip("optuna_integration")
pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning"),
]

KITCHEN = make_kitchen(unlabeled_fraction=0.5, n_steps=3, random_state=0)
X, Y, FUTURE = KITCHEN.X_past, KITCHEN.y, KITCHEN.X_future
VIDEOS = KITCHEN.groups
CV, SCORER = SemiSupervisedSplit(GroupKFold(2)), labelled_scorer("accuracy")


def model(**params):
    return DistilledAnticipator(LSTM(6), max_epochs=2, random_state=0, **params)


def test_futures_groups_and_unlabelled_rows_reach_a_study():
    search = integration.OptunaSearchCV(
        model(),
        {"lr": optuna.distributions.FloatDistribution(1e-3, 0.1, log=True)},
        cv=CV,
        scoring=SCORER,
        n_trials=3,
        random_state=0,
    )
    search.fit(X, Y, groups=VIDEOS, X_future_unlabeled=FUTURE)
    assert len(search.trials_) == 3
    for trial in search.trials_:
        own = cross_validate(
            model(**trial.params),
            X,
            Y,
            cv=CV,
            groups=VIDEOS,
            scoring=SCORER,
            params={"X_future_unlabeled": FUTURE},
        )["test_score"]
        assert trial.value == own.mean()
    again = model(**search.best_params_).fit(X, Y, FUTURE)
    np.testing.assert_array_equal(search.predict_proba(X), again.predict_proba(X))


def test_an_objective_can_give_groups_to_the_fits_too():
    def objective(trial):
        candidate = model(
            lr=trial.suggest_float("lr", 1e-3, 0.1, log=True),
            early_stopping=True,  # which warns where it is given no groups
        ).set_fit_request(groups=True)
        with config_context(enable_metadata_routing=True):
            found = cross_validate(
                candidate,
                X,
                Y,
                cv=CV,
                scoring=SCORER,
                params={"groups": VIDEOS, "X_future_unlabeled": FUTURE},
                error_score="raise",
            )
        return found["test_score"].mean()

    with config_context(enable_metadata_routing=True):  # which set_fit_request wants
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(0)
        )
        study.optimize(objective, n_trials=2)
    assert 0 < study.best_value <= 1 and len(study.trials) == 2
