"""Labels of steps, as fit takes them: one for each step of each clip."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, KFold

from skanticipate import (
    LSTM,
    AVTHead,
    BatchedGridSearchCV,
    DistilledAnticipator,
    LateFusion,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
    TemporalPrior,
    TransitionPrior,
    fit_many,
)
from skanticipate.datasets import make_kitchen
from skanticipate.signals.labels import codes_of_steps, last_seen

KITCHEN = make_kitchen(10, 6, n_steps=5, n_features=8, random_state=0)
X, ACTIONS = KITCHEN.X_past, KITCHEN.actions
NAMES = np.array([" ".join(ACTIONS[label]) for label in range(len(ACTIONS))])
Y = NAMES[KITCHEN.y]
N, T = X.shape[:2]
RNG = np.random.default_rng(0)
STEPS = np.where(RNG.random((N, T)) < 0.3, None, NAMES[RNG.integers(0, 20, (N, T))])
AVT = AVTHead(8, n_heads=2, past_weight=0.5, dropout=0.2)


def model(network=AVT, kind=SmoothedAnticipator, **params):
    options = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    return kind(network, dtype="float64", **options)


def told(fitted, clips=X):
    return fitted.predict_proba(clips).tobytes(), repr(fitted.history_)


def with_missing(value):
    labels = STEPS.copy()
    labels[labels == None] = value  # noqa: E711
    return labels


# --------------------------------------------------------------- what the loss is


def frame_scores(network, clip):
    """Scores of the steps of a clip (T, d): its first frame, then what was guessed."""
    with torch.no_grad():
        guesses = network.eval()(clip[None]).features[0]
        return network.classifier(torch.cat([clip[:1], guesses[:-1]])).numpy()


def untrained(**params):
    network = AVTHead(8, n_heads=2, past_weight=0.5, layer_dropout=0.0, **params)
    return model(network, optimizer="sgd", lr=1e-30, batch_size=999, max_epochs=1)


@pytest.mark.parametrize("weighted", [False, True])
def test_history_tells_the_mean_over_frames_with_a_label(weighted):
    clips, steps = X[:12].copy(), STEPS[:12].copy()
    clips[3, :2] = np.nan  # padding, whose labels do not count
    steps[3, :3] = NAMES[0]
    steps[5] = None
    steps[6, 1] = "no class"
    weight = np.linspace(0.5, 2, 12) if weighted else np.ones(12)
    y = Y[:12].copy()
    y[[0, 6]] = "unknown"
    fitted = untrained().set_params(unlabeled_label="unknown", classes=np.unique(NAMES))
    fitted.fit(clips, y, y_past=steps, sample_weight=weight if weighted else None)
    codes = {label: code for code, label in enumerate(fitted.classes_)}
    loss = total = 0.0
    for b, clip in enumerate(clips):
        real = ~np.isnan(clip[:, 0])
        scores = frame_scores(fitted.network_, torch.from_numpy(clip[real]).double())
        for own, label in zip(scores, steps[b][real], strict=True):
            if label in codes:
                loss += weight[b] * (np.log(np.exp(own).sum()) - own[codes[label]])
                total += weight[b]
    (record,) = fitted.history_
    assert record["past"] == pytest.approx(loss / total, abs=1e-10)
    parts = record["base"] + 0.5 * record["past"] + record["auxiliary"]
    assert record["loss"] == pytest.approx(parts, abs=1e-12)


def test_steps_are_learnt_to_be_named():
    rng = np.random.default_rng(0)
    wheel = rng.normal(size=(4, 6))
    start = rng.integers(4, size=80)
    turns = (start[:, None] + np.arange(6)) % 4
    network = AVTHead(32, layer_dropout=0.0, past_weight=1.0)
    fitted = SmoothedAnticipator(
        network, smoothing=0, max_epochs=40, batch_size=16, random_state=0
    ).fit(wheel[turns], (start + 6) % 4, y_past=turns)
    first, last = (fitted.history_[k]["past"] for k in (0, -1))
    assert last < 0.4 * np.log(4) < first
    assert fitted.score(wheel[turns], (start + 6) % 4) == 1


# ----------------------------------------------------------- what does not count


@pytest.mark.parametrize("kind", [SmoothedAnticipator, DistilledAnticipator])
def test_without_a_labelled_step_the_fit_is_that_without_the_loss(kind):
    quiet = AVTHead(8, n_heads=2, dropout=0.2)
    expected = told(model(quiet, kind).fit(X, Y))
    for nothing in (None, "no class"):
        steps = np.full((N, T), nothing)
        with pytest.warns(UserWarning, match="AVTHead has nothing to learn from"):
            found = told(model(AVT, kind).fit(X, Y, y_past=steps))
        assert found == expected
    # Without the weight the labels of steps say nothing to a network.
    assert told(model(quiet, kind).fit(X, Y, y_past=STEPS)) == expected
    assert told(model(AVT, kind).fit(X, Y, y_past=STEPS)) != expected


@pytest.mark.parametrize("missing", [np.nan, "", -1, "nan", pd.NA, "not among y"])
def test_missing_labels_and_labels_that_are_no_class_say_nothing(missing):
    expected = told(model().fit(X, Y, y_past=STEPS))
    assert told(model().fit(X, Y, y_past=with_missing(missing))) == expected


def test_labels_of_padding_say_nothing():
    clips, steps = X.copy(), STEPS.copy()
    clips[::2, :2] = np.nan
    steps[::2, :2] = None
    expected = told(model().fit(clips, Y, y_past=steps))
    steps[::2, :2] = NAMES[3]
    assert told(model().fit(clips, Y, y_past=steps)) == expected


@pytest.mark.parametrize("padding", [-1, np.nan])
def test_labels_of_padding_codes_say_nothing(padding):
    codes = np.array([[[padding], [2]], [[1], [0]]])
    labels = np.array([["a", "b"], ["b", "no"]])
    spec = AVTHead(8, embedding=2)
    found = codes_of_steps(labels, np.array(["a", "b"]), RowView(codes), spec)
    assert found.tolist() == [[-1, 1], [1, -1]]


def test_unlabelled_clips_are_kept_for_their_steps():
    y = np.where(np.arange(N) % 3, Y, "?")
    fitted = untrained().set_params(unlabeled_label="?")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that rows are dropped
        steps = np.where(STEPS == None, Y[1], STEPS)  # noqa: E711
        whole = fitted.fit(X, y, y_past=steps).history_[0]
    assert fitted.n_unlabeled_ == (np.arange(N) % 3 == 0).sum()
    silent = steps.copy()
    silent[y == "?"] = None
    with pytest.warns(UserWarning, match="20 rows .* are unlabelled"):
        labelled = fitted.fit(X, y, y_past=silent).history_[0]
    assert whole["base"] == pytest.approx(labelled["base"], abs=1e-12)
    assert whole["past"] != pytest.approx(labelled["past"], abs=1e-6)


# ------------------------------------------------------------ the action seen last


@pytest.mark.parametrize("missing", [None, np.nan, "", -1])
@pytest.mark.parametrize("prior", [TransitionPrior(ACTIONS), TemporalPrior()])
def test_priors_count_the_last_label_that_is_there(prior, missing):
    steps = with_missing(missing)
    steps[0] = missing
    last = [
        next((v for v in row[::-1] if isinstance(v, str) and v), missing)
        for row in steps
    ]
    table = {NAMES[label]: pair for label, pair in ACTIONS.items()}
    if isinstance(prior, TransitionPrior):
        prior = TransitionPrior(table)
    clips = X[:, :, :4]
    one, other = (
        model(LSTM(4), prior=prior, max_epochs=1).fit(clips, Y, y_past=past)
        for past in (steps, last)
    )
    assert_array_equal(one.prior_.matrix_, other.prior_.matrix_)
    assert told(one, clips) == told(other, clips)


def test_minus_one_is_seen_where_it_is_a_class():
    labels = np.array([[3, -1], [-1, -1], [5, 7]])
    assert last_seen(labels, np.array([3, 5])).tolist() == [3, -1, 7]
    assert last_seen(labels, np.array([-1, 3, 5])).tolist() == [-1, -1, 7]
    assert last_seen(labels[:, 0], np.array([3, 5])).tolist() == [3, -1, 5]


# -------------------------------------------------- searches, fusions and containers


def test_searches_cut_the_labels_of_steps_with_the_rows():
    def first_class(estimator, X, y):
        return float(np.log(estimator.predict_proba(X)[:, 0]).mean())

    grid = {"network__past_weight": [0.0, 0.5]}
    params = {"cv": KFold(2), "scoring": first_class, "refit": False}
    steps = RNG.integers(-1, 20, (N, T))
    found = [
        search(model(), grid, error_score="raise", **params).fit(
            X, KITCHEN.y, y_past=steps
        )
        for search in (GridSearchCV, BatchedGridSearchCV)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in found]
    assert_allclose(*scores, atol=1e-12)
    assert scores[0][0] != scores[0][1]


@pytest.mark.parametrize("numbers", [False, True])
def test_many_fits_are_each_as_alone(numbers):
    y, steps = Y, STEPS
    if numbers:
        y = KITCHEN.y
        steps = RNG.integers(-1, 20, (N, T))
    models = [model(lr=lr) for lr in (1e-3, 1e-2)]
    train = [np.arange(N) % 3 > 0, np.arange(0, N, 2)]
    together = fit_many(models, X, y, y_past=steps, train=train)
    for one, rows, found in zip(models, train, together, strict=True):
        alone = one.fit(X[rows], y[rows], y_past=steps[rows])
        assert told(found) == told(alone)


def test_members_of_a_fusion_learn_the_steps_too():
    members = [("a", model(), (0, 4)), ("b", model(LSTM(4)), (4, None))]
    fusion = LateFusion(members).fit(X, Y, y_past=STEPS)
    alone = model().fit(X[:, :, :4], Y, y_past=STEPS)
    assert told(fusion.estimators_[0], X[:, :, :4]) == told(alone, X[:, :, :4])


@pytest.mark.parametrize("form", [list, pd.DataFrame, lambda a: a.tolist()])
def test_labels_of_steps_in_any_container(form):
    expected = told(model().fit(X, Y, y_past=STEPS))
    assert told(model().fit(X, Y, y_past=form(STEPS))) == expected


def test_a_fit_goes_on_with_the_steps():
    fitted = model(warm_start=True).fit(X, Y, y_past=STEPS)
    fitted.fit(X, Y, y_past=STEPS)
    assert [("past" in record) for record in fitted.history_] == [True] * 4


def test_held_out_rows_and_class_weights_go_with_the_steps():
    fitted = model(early_stopping=True, class_weight="balanced", max_epochs=3)
    fitted.fit(X, Y, y_past=STEPS, groups=KITCHEN.groups)
    assert fitted.history_[-1]["past"] > 0 and "val_loss" in fitted.history_[-1]


# --------------------------------------------------------------------- teachers


def test_the_default_teacher_has_no_loss_of_the_past():
    y = np.where(np.arange(N) % 2, KITCHEN.y, -1)
    steps = RNG.integers(-1, 20, (N, T))
    student = model(kind=DistilledAnticipator)
    student.fit(X, y, KITCHEN.X_future, y_past=steps)
    assert student.started_from_teacher_ and student.history_[-1]["past"] > 0
    assert "past" not in student.teacher_.history_[-1]
    assert student.teacher_.network_spec_.past_weight == 0
    assert student.network_spec_.past_weight == student.network.past_weight == 0.5


def test_a_recogniser_may_learn_the_steps_of_its_clips():
    fitted = model(kind=RecognitionTeacher).fit(X, Y, y_past=STEPS)
    assert fitted.history_[-1]["past"] > 0


# ----------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("given", "got"),
    [(None, "None"), (Y, r"one of shape \(60,\)"), (Y[:, None], r"one of sh.*\(60,\)")],
    ids=["none", "one a clip", "one column"],
)
def test_the_loss_needs_the_labels_of_steps(given, got):
    fitted = model()
    message = rf"past_weight=0.5 of AVTHead needs .* shape \(60, 5\), got {got}: pass y"
    with pytest.raises(ValueError, match=message):
        fitted.fit(X, Y, y_past=given)
    assert not hasattr(fitted, "classes_")


def test_another_number_of_steps_is_refused():
    message = r"y_past has shape \(60, 4\): give one label .*, or one for each of its 5"
    for network in (AVT, LSTM(4)):
        with pytest.raises(ValueError, match=message):
            model(network).fit(X, Y, y_past=STEPS[:, :4])
    with pytest.raises(ValueError, match="y_past has 59 rows but X_past has 60"):
        model().fit(X, Y, y_past=STEPS[:-1])


def test_labels_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="y_past holds strings, .* unlike the classes"):
        model().fit(X, KITCHEN.y, y_past=STEPS)


def test_labels_that_look_numbered_anew_are_told_of():
    numbers = np.unique(KITCHEN.y, return_inverse=True)[1]
    steps = np.full((N, T), 77)
    steps[0] = numbers[0]
    with pytest.warns(UserWarning, match="y_past has other numbers too, such as 77"):
        model().fit(X, numbers, y_past=steps)


class Cutting(AVTHead):
    """Reads all steps but the first."""

    def crop(self, past, future, generator):
        return past[:, 1:], future


def test_a_crop_that_takes_steps_away_is_named():
    spec = Cutting(8, n_heads=2, past_weight=0.1)
    with pytest.raises(ValueError, match=f"score {T - 1} steps .* has {T} labels"):
        model(spec).fit(X, Y, y_past=STEPS)
