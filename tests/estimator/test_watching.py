import warnings

import numpy as np
import pytest

from skanticipate import (
    MLP,
    DistilledAnticipator,
    SmoothedAnticipator,
    fit_many,
    presets,
)

RNG = np.random.default_rng(0)
Y = np.arange(60) % 6
X = RNG.normal(size=(60, 4)) + 2 * np.eye(6, 4)[Y]
VALIDATION = {"X_val": X[:12] + 0.1, "y_val": Y[:12]}


def anticipator(kind=SmoothedAnticipator, **params):
    given = {"max_epochs": 4, "random_state": 0, "early_stopping": True}
    return kind(MLP(4), **{**given, **params})


@pytest.mark.parametrize("kind", [SmoothedAnticipator, DistilledAnticipator])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_top_5_of_five_classes_or_fewer_is_refused(kind, n_classes):
    rows = Y < n_classes
    model = anticipator(kind, scoring="top_5_accuracy")
    says = f"'top_5_accuracy' with {n_classes} classes is 1 in every .*scoring='loss'"
    with pytest.raises(ValueError, match=says):
        model.fit(X[rows], Y[rows], groups=np.arange(rows.sum()))
    model.set_params(scoring="loss").fit(X[rows], Y[rows], groups=range(rows.sum()))


def test_top_5_of_six_classes_is_taken():
    model = anticipator(scoring="top_5_accuracy", max_epochs=1).fit(X, Y, **VALIDATION)
    rows = Y < 3  # of which the others are classes too
    model.set_params(classes=range(6)).fit(X[rows], Y[rows], **VALIDATION)


def test_nobody_watches_without_early_stopping():
    model = anticipator(scoring="top_5_accuracy", early_stopping=False)
    model.fit(X[Y < 3], Y[Y < 3])


def test_the_presets_of_few_classes_say_what_to_do():
    clips = RNG.normal(size=(12, 14, 3))
    model = presets.camporese2020_lstm(max_epochs=2, network__hidden_size=2)
    with pytest.raises(ValueError, match="scoring='loss'"):
        model.fit(clips, np.arange(12) % 3, groups=range(12))
    model.set_params(scoring="loss").fit(clips, np.arange(12) % 3, groups=range(12))


def constant(estimator, X, y):
    return 0.25


def messages(fit):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fit()
    return [str(w.message) for w in record]


def test_a_figure_that_never_changes_is_warned_of():
    model = anticipator(scoring=constant)
    [said] = messages(lambda: model.fit(X, Y, **VALIDATION))
    assert "kept the weights of the first epoch" in said
    assert "val_score was 0.25 in all 4 epochs" in said
    model.set_params(max_epochs=1)  # of a single epoch there is no other
    assert messages(lambda: model.fit(X, Y, **VALIDATION)) == []
    model.set_params(max_epochs=4, early_stopping=False)
    assert messages(lambda: model.fit(X, Y, **VALIDATION)) == []


def test_fits_that_are_trained_together_are_warned_of_too():
    models = [anticipator(scoring=s, lr=0.05) for s in (constant, constant, "loss")]
    said = messages(lambda: fit_many(models, X, Y, **VALIDATION))
    assert sum("val_score was 0.25 in all 4 epochs" in s for s in said) == 2
    assert len(said) == 2
