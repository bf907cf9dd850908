"""Early stopping by any scorer of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, f1_score, get_scorer, log_loss

from skanticipate import LSTM, MLP, SmoothedAnticipator
from skanticipate.metrics import labelled_scorer, mean_top_k_recall_scorer

RNG = np.random.default_rng(0)
NAMES = np.array(["cut", "peel", "wash"])
Y = NAMES[RNG.integers(0, 3, 60)]
X = RNG.normal(size=(60, 4)) + (Y == "cut")[:, None]
X_VAL, Y_VAL = X[40:], Y[40:]
PARAMS = {"max_epochs": 5, "lr": 0.05, "random_state": 0, "dtype": "float64"}


def fitted(scoring, *, network=None, X=X[:40], y=Y[:40], X_val=X_VAL, y_val=Y_VAL, **p):
    network = MLP(5) if network is None else network
    model = SmoothedAnticipator(network, scoring=scoring, **PARAMS | p)
    return model.fit(X, y, X_val=X_val, y_val=y_val)


SCORES = {
    "balanced_accuracy": lambda y, p: balanced_accuracy_score(y, NAMES[p.argmax(1)]),
    "f1_macro": lambda y, p: f1_score(y, NAMES[p.argmax(1)], average="macro"),
    "neg_log_loss": lambda y, p: -log_loss(y, p, labels=NAMES),
}


@pytest.mark.parametrize("scoring", SCORES)
@pytest.mark.parametrize("as_function", [False, True])
def test_every_epoch_has_the_score_of_the_network_at_its_end(scoring, as_function):
    scorer = get_scorer(scoring) if as_function else scoring
    history = fitted(scorer).history_
    for n, record in enumerate(history, start=1):
        proba = fitted("loss", max_epochs=n).predict_proba(X_VAL)
        expected = SCORES[scoring](Y_VAL, proba)
        assert record["val_score"] == pytest.approx(expected, abs=1e-12)
    assert "val_score" not in fitted("accuracy").history_[0]


def test_the_weights_of_the_best_epoch_are_kept():
    figures = iter([0.1, 0.5, 0.2, 0.3, 0.3])

    def scoring(estimator, clips, labels):
        return next(figures)

    found = fitted(scoring, early_stopping=True, n_iter_no_change=3, tol=0.0)
    assert found.n_iter_ == 5
    expected = fitted("loss", max_epochs=2).predict_proba(X)
    np.testing.assert_array_equal(found.predict_proba(X), expected)


def test_a_function_sees_a_fitted_estimator_and_the_rows_of_known_labels():
    seen = []

    def scoring(estimator, clips, labels):
        seen.append((estimator.predict(clips), labels, estimator.classes_))
        return 0.0

    y_val = Y_VAL.astype(object)
    y_val[:3] = "dance"
    fitted(scoring, y_val=y_val, max_epochs=1)
    ((predicted, labels, classes),) = seen
    assert len(predicted) == 17
    np.testing.assert_array_equal(labels, Y_VAL[3:])
    np.testing.assert_array_equal(classes, NAMES)


def test_tables_sequences_and_scorers_of_ours():
    columns = list("abcd")
    frames = [pd.DataFrame(values, columns=columns) for values in (X[:40], X_VAL)]
    found = fitted("f1_macro", X=frames[0], X_val=frames[1])
    assert found.history_ == fitted("f1_macro").history_
    clips = RNG.normal(size=(60, 3, 4))
    for scoring in (mean_top_k_recall_scorer(2), labelled_scorer("neg_log_loss")):
        found = fitted(scoring, network=LSTM(4), X=clips[:40], X_val=clips[40:])
        again = scoring(found, clips[40:], Y_VAL)
        assert found.history_[-1]["val_score"] == pytest.approx(again, abs=1e-12)


def fails(estimator, clips, labels):
    raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ("roc_auc", "scoring='roc_auc' on the 20 validation rows fails"),
        (fails, "validation rows fails .no such thing.. Choose another"),
        (lambda e, X, y: np.nan, "gives nan where a number is due"),
        (lambda e, X, y: {"a": 1.0}, "gives {'a': 1.0} where a number"),
    ],
)
def test_a_scorer_that_fails_is_named(scoring, message):
    model = SmoothedAnticipator(MLP(5), scoring=scoring, **PARAMS)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(X[:40], Y[:40], X_val=X_VAL, y_val=Y_VAL)
    assert vars(model) == before


def test_a_metric_is_no_scorer():
    with pytest.raises(ValueError, match="make_scorer"):
        fitted(f1_score)


def test_the_estimator_is_as_after_any_fit():
    one, other = fitted("f1_macro"), fitted("loss")
    assert vars(one).keys() == vars(other).keys()
    assert clone(one).scoring == "f1_macro"


def test_figures_are_those_of_adjusted_predictions():
    model = fitted("accuracy", logit_adjustment=2.0, max_epochs=3)
    record = model.history_[-1]
    assert record["val_accuracy"] == pytest.approx(model.score(X_VAL, Y_VAL))
    proba = model.predict_proba(X_VAL)
    assert record["val_loss"] == pytest.approx(log_loss(Y_VAL, proba, labels=NAMES))
