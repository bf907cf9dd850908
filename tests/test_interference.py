"""What a fit must not see changes no bit of it: planted in each signal, and looked for.

The same change of a row that trains must be seen, else the test would see nothing.
"""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    HistoryTeacher,
    MixturePrior,
    TransitionPrior,
    VerbNounPrior,
    fit_many,
)
from skanticipate.datasets import make_kitchen

KITCHEN = make_kitchen(10, n_features=12, unlabeled_fraction=0.4, random_state=0)
N = len(KITCHEN.y)
VIDEOS = np.asarray(KITCHEN.groups)
TEST = np.flatnonzero(np.isin(VIDEOS, np.unique(VIDEOS)[:3]))
TRAIN = np.setdiff1d(np.arange(N), TEST)
RNG = np.random.default_rng(0)

SIGNALS = {
    "X_past": KITCHEN.X_past,
    "y": KITCHEN.y,
    "X_future_unlabeled": KITCHEN.X_future,
    "past_actions": KITCHEN.past_actions,
    "y_past": KITCHEN.y_past,
    "sample_weight": RNG.uniform(0.5, 2, N),
    "groups": VIDEOS,
}
PRIORS = [TransitionPrior(KITCHEN.actions), VerbNounPrior(KITCHEN.actions)]
PROBA = RNG.dirichlet(np.ones(20), N)


def student():
    """One that counts, weighs, holds rows out, and asks all teachers there are."""
    reader = HistoryTeacher(KITCHEN.actions, hidden_size=4, n_networks=1, max_epochs=1)
    return DistilledAnticipator(
        MLP(4),
        text_teacher=reader,
        prior=MixturePrior(PRIORS),
        smoothing=0.3,
        teacher_weight=0.5,
        cross_fit=2,
        class_weight="balanced",
        logit_adjustment=0.5,
        early_stopping=True,
        validation_fraction=0.3,
        classes=range(20),
        max_epochs=1,
        random_state=0,
    )


def changed(name, values, rows):
    """Values of a signal, others at some rows."""
    values = np.array(values)
    if name == "y":
        hidden = values[rows] < 0
        values[rows] = np.where(hidden, 3, (values[rows] + 7) % 20)
    elif name in ("past_actions", "y_past"):
        values[rows] = (values[rows] + 7) % 20
    elif name == "groups":
        values[rows] = np.unique(VIDEOS)[-1]
    else:
        values[rows] = values[rows] * 3 + 0.25
        if name == "teacher_proba":
            values[rows] = values[rows][:, ::-1] / values[rows].sum(1, keepdims=True)
    return values


def bits(model):
    """What a student has learnt, its teachers too, and what its scores are moved by."""
    networks = [model.network_]
    if hasattr(model.teacher_, "network_"):
        networks.append(model.teacher_.network_)
    weights = [p.detach().numpy() for n in networks for p in n.parameters()]
    counted = [model.class_log_frequency_]
    return [w.tobytes() for w in weights + counted], repr(model.history_)


def by_search(signals):
    """Of a scaler and a student, as the scorer of the one fold sees them."""

    def look(model, X, y):
        seen.append((model[0].mean_.tobytes(), *bits(model[-1])))
        return 0.0

    signals = {**signals}
    X, y = signals.pop("X_past"), signals.pop("y")
    given = {f"distilledanticipator__{name}": v for name, v in signals.items()}
    seen = []
    BatchedGridSearchCV(
        make_pipeline(StandardScaler(), student()),
        {"distilledanticipator__lr": [0.01]},
        cv=[(TRAIN, TEST)],
        scoring=look,
        refit=False,
        error_score="raise",
    ).fit(X, y, **given)
    assert len(seen) == 1
    return seen


def by_many(signals):
    [model] = fit_many([student()], train=[TRAIN], **signals)
    return bits(model)


WAYS = {
    "search": by_search,
    "many fits": by_many,
}
ORDINARY = {}


@pytest.mark.parametrize("name", [*SIGNALS, "teacher_proba"])
@pytest.mark.parametrize("way", WAYS)
def test_rows_that_are_tested_change_nothing_and_rows_that_train_do(way, name):
    signals = SIGNALS
    if name == "teacher_proba":  # in place of futures
        signals = {**SIGNALS, "teacher_proba": PROBA}
        del signals["X_future_unlabeled"]
    key = way, name == "teacher_proba"
    if key not in ORDINARY:
        ORDINARY[key] = WAYS[way](signals)
    plants = [
        {**signals, name: changed(name, signals[name], rows)}
        for rows in (TEST, TRAIN[::3])
    ]
    assert WAYS[way](plants[0]) == ORDINARY[key]
    assert WAYS[way](plants[1]) != ORDINARY[key]
