import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skanticipate import LSTM, DistilledAnticipator, SmoothedAnticipator
from skanticipate.datasets import first_fraction
from skanticipate.plotting import ObservationRatioDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

CLASSES = np.array(["cut", "mix", "wash"])
Y = np.array(["cut", "cut", "mix", "wash"])
# Clips of 10, 10, 5 and 4 steps; the feature counts the steps from 1.
CLIPS = [np.arange(1.0, n + 1)[:, None] for n in (10, 10, 5, 4)]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


class Early(ClassifierMixin, BaseEstimator):
    """Right on each clip as soon as it sees `needed` steps of it."""

    def __init__(self, needed=3, marker=None):
        self.needed = needed
        self.marker = marker

    def fit(self, X, y):
        self.classes_ = CLASSES
        self.unlabeled_label_ = self.marker
        return self

    def predict_proba(self, X):
        right = np.searchsorted(CLASSES, Y)
        seen = np.nanmax(X[:, :, 0], axis=1)
        return np.eye(3)[np.where(seen >= self.needed, right, (right + 1) % 3)]


def early(needed=3, **parameters):
    return Early(needed, **parameters).fit(CLIPS, Y)


def draw(estimators, clips=CLIPS, y=Y, **options):
    return ObservationRatioDisplay.from_estimator(estimators, clips, y, **options)


# ------------------------------------------------------------------------- the numbers


def test_accuracies_by_hand():
    """Of 10, 10, 5 and 4 steps are seen: at 20 % 2, 2, 1, 1; at 60 % 6, 6, 3, 3."""
    display = draw({"two": early(2), "three": early(3)}, fractions=[0.6, 0.2, 1.0])
    assert_array_equal(display.fractions, [0.2, 0.6, 1.0])
    assert_array_equal(display.scores["two"], [[0.5], [1.0], [1.0]])
    assert_array_equal(display.scores["three"], [[0.0], [1.0], [1.0]])
    assert display.k == 1


def test_tenths_are_the_default():
    display = draw(early(4))
    assert_allclose(display.fractions, np.arange(1, 11) / 10)
    # four steps: of ten at 40 %, of five at 70 % (ceil(3.5)), of four at 80 %
    expected = [0, 0, 0, 0.5, 0.5, 0.5, 0.75, 1, 1, 1]
    assert_array_equal(display.scores["Early"][:, 0], expected)


@pytest.mark.parametrize("name", [None, "early"])
def test_an_estimator_for_each_fraction(name):
    """Only what was fitted for a fraction is asked at it."""
    models = {1.0: early(11), 0.2: early(1), 0.1 + 0.2: early(3)}
    display = draw(models if name is None else {name: models})
    assert_array_equal(display.fractions, [0.2, 0.3, 1.0])
    assert_array_equal(display.scores[name or "Early"], [[1.0], [0.5], [0.0]])


def test_runs_and_fractions_that_are_missing():
    models = {
        "all": [early(2), early(3)],
        "some": [{0.2: early(1)}, {0.2: early(2), 0.6: early(1)}],
    }
    display = draw(models)
    assert_array_equal(display.fractions, [0.2, 0.6])
    assert_array_equal(display.scores["all"], [[0.5, 0.0], [1.0, 1.0]])
    assert_array_equal(display.scores["some"], [[1.0, 0.5], [np.nan, 1.0]])


@pytest.mark.filterwarnings("ignore:k=3 with 3 classes")
def test_k_classes_may_be_named():
    wrong = early(99)
    # the second best is the first of the other columns: right for "cut" alone
    assert draw(wrong, fractions=[0.5], k=2).scores["Early"] == [[0.5]]
    assert draw(wrong, fractions=[0.5], k=3).scores["Early"] == [[1.0]]


def test_unlabelled_clips_are_left_out():
    y = np.where(np.arange(4) == 2, "", Y)
    display = draw(early(2, marker=""), y=y, fractions=[0.2])
    assert_allclose(display.scores["Early"], [[2 / 3]])


class Wrapper(ClassifierMixin, BaseEstimator):
    """Of a fitted estimator, as a calibration is."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.classes_ = self.estimator.classes_
        return self

    def predict_proba(self, X):
        return self.estimator.predict_proba(X)


def test_the_marker_of_an_estimator_in_a_wrapper_counts():
    y = np.where(np.arange(4) == 2, "other", Y)
    wrapped = Wrapper(early(2, marker="other")).fit(CLIPS, Y)
    display = draw(wrapped, y=y, fractions=[0.2])
    assert_allclose(display.scores["Wrapper"], [[2 / 3]])


def test_all_estimators_are_scored_on_the_clips_that_are_labelled_for_each():
    y = np.array(["cut", "?", "mix", "-"])  # clips of 10, 10, 5 and 4 steps
    models = {
        "a": early(5, marker="?"),
        "b": {0.5: early(3, marker="-"), 1.0: early(6)},
    }
    scores = draw(models, y=y, fractions=[0.5, 1.0]).scores  # first and third clip
    assert_array_equal(scores["a"], [[0.5], [1.0]])
    assert_array_equal(scores["b"], [[1.0], [0.5]])


def test_scores_that_are_named_are_named_as_the_fractions():
    right = np.eye(3)[np.searchsorted(CLASSES, Y)]
    run = pd.Series([right, 1 - right], index=[0.2, 0.5])
    plot = ObservationRatioDisplay.from_predictions
    display = plot(Y, {"a": [run]}, [0.2, 0.5], classes=CLASSES)
    assert_array_equal(display.scores["a"], [[1.0], [0.0]])
    with pytest.raises(ValueError, match=r"Row 0 of a\[0\] is named 0.2"):
        plot(Y, {"a": [run]}, [0.5, 0.2], classes=CLASSES)


def test_pipelines_and_searches_are_asked_as_a_whole():
    pipe = make_pipeline(FunctionTransformer(lambda clips: clips + 1), Early(3))
    pipe.fit(first_fraction(CLIPS, 1.0).X_past, Y)
    assert draw({"p": pipe}, fractions=[0.2]).scores["p"] == [[0.5]]  # 3 instead of 2
    search = GridSearchCV(Early(), {"needed": [2]}, cv=KFold(2), scoring=lambda *_: 0)
    search.fit(np.zeros((4, 3, 1)), Y)
    assert draw({"s": search}, fractions=[0.2]).scores["s"] == [[0.5]]


def test_one_network_answers_at_every_fraction():
    rng = np.random.default_rng(0)
    y = np.arange(24) % 3
    clips = [np.eye(3)[c] + rng.normal(size=(6 + i % 5, 3)) for i, c in enumerate(y)]
    past, future = first_fraction(clips, 0.5)
    shared = {"max_epochs": 5, "random_state": 0}
    model = DistilledAnticipator(LSTM(8), **shared).fit(past, y, future)
    other = SmoothedAnticipator(LSTM(8), **shared).fit(past, y)
    models = {"with futures": model, "past only": other}
    display = draw(models, clips, y, fractions=[0.2, 0.5, 1.0])
    for name, fitted in models.items():
        for row, fraction in enumerate(display.fractions):
            seen = first_fraction(clips, fraction).X_past
            expected = np.mean(fitted.predict(seen) == y)
            assert display.scores[name][row, 0] == expected


def test_predictions_do_as_estimators_do():
    runs, fractions = [early(2), early(3)], [0.6, 0.2]
    seen = [first_fraction(CLIPS, fraction).X_past for fraction in fractions]
    proba = [[run.predict_proba(X) for X in seen] for run in runs]
    display = ObservationRatioDisplay.from_predictions(
        Y, {"a": proba}, fractions, classes=CLASSES
    )
    expected = draw({"a": runs}, fractions=fractions)
    assert_array_equal(display.scores["a"], expected.scores["a"])
    assert_array_equal(display.fractions, [0.2, 0.6])


# --------------------------------------------------------------- picture and table


def test_the_picture_by_hand():
    scores = {"a": [[0.5, 0.9], [0.2, 0.4]], "b": pd.DataFrame([[0.3], [0.1]])}
    display = ObservationRatioDisplay(scores, [1.0, 0.25])
    assert display.plot() is display
    assert_allclose(display.lines_[0].get_xydata(), [[25, 30], [100, 70]])
    assert_allclose(display.lines_[1].get_ydata(), [10, 30])
    (band,) = display.bands_  # a single run has no spread
    edges = band.get_paths()[0].vertices
    at = np.unique(edges[edges[:, 0] == 25, 1].round(7))
    assert_allclose(at, [30 - 10 * 2**0.5, 30 + 10 * 2**0.5], atol=1e-6)
    left, right = display.ax_.get_xlim()
    assert left < 25 < 100 < right  # more is seen at the right
    assert display.ax_.get_xlabel() == "share of the clip that is seen, per cent"
    assert display.ax_.get_ylabel() == "top-1 accuracy, per cent"
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["a", "b"]
    display.figure_.canvas.draw()


def test_the_table_by_hand(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    scores = {"past": [[0.3, 0.34], [0.2, 0.2]], "both": [[0.36851], [np.nan]]}
    display = ObservationRatioDisplay(scores, [1.0, 0.07])
    assert display.to_markdown("past") == (
        "| top-1 accuracy, % | 7 % | 100 % |\n"
        "|---|---:|---:|\n"
        "| past | 20.00 ± 0.00 | 32.00 ± 2.83 |\n"  # 4 / sqrt(2)
        "| both |  | 36.85 |\n"
        "| improvement over past, % points |  | +4.85 |"
    )


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("fractions", [[0.0, 1], [0.5, 1.1], [0.5, 0.5], [np.nan], []])
def test_what_is_no_share(fractions):
    with pytest.raises(ValueError, match="must be distinct shares of a clip, above 0"):
        draw(early(), fractions=fractions)
    with pytest.raises(ValueError, match="must be distinct shares of a clip, above 0"):
        ObservationRatioDisplay.from_predictions(Y, {}, fractions)


@pytest.mark.parametrize(
    ("estimators", "error", "match"),
    [
        ({}, ValueError, "ObservationRatioDisplay needs at least one estimator"),
        ({"a": []}, ValueError, "at least one estimator, and 'a' has an empty list"),
        ([Early()], TypeError, "got a list: name them"),
        (Early(), NotFittedError, "not fitted"),
        ({"a": {0.2: [Early()]}}, TypeError, "'a' has a list at the fraction 0.2"),
        ({"a": {0.9: early()}}, ValueError, "'a' has a run without an estimator at an"),
        (
            {"a": RidgeClassifier().fit([[0.0], [1.0]], [0, 1])},
            TypeError,
            "'a' is a RidgeClassifier and has no predict_proba",
        ),
    ],
)
def test_bad_estimators(estimators, error, match):
    with pytest.raises(error, match=match):
        draw(estimators, fractions=[0.2])


def test_a_network_of_one_length_is_told_of_fits_for_each_fraction():
    class Fixed(Early):
        def predict_proba(self, X):
            raise ValueError("X has 2 steps.")

    with pytest.raises(ValueError, match="X has 2 steps") as raised:
        draw({"a": Fixed().fit(CLIPS, Y)}, fractions=[0.2])
    assert "needs a fit for each fraction" in raised.value.__notes__[0]


def test_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="4.*3|3.*4"):
        draw(early(), y=Y[:3])
    with pytest.raises(ValueError, match="no labelled rows"):
        draw(early(marker=""), y=np.full(4, ""))
    with pytest.raises(ValueError, match="'a' has 1 arrays of scores in run 0: expect"):
        ObservationRatioDisplay.from_predictions(
            [0], {"a": [[[[1.0, 0.0]]]]}, [0.1, 0.2]
        )
    with pytest.raises(ValueError, match="run is a list of one"):
        ObservationRatioDisplay.from_predictions([0], {"a": [[[1.0, 0.0]]]}, [0.1])
    with pytest.raises(TypeError, match="scores must be a dict of names"):
        ObservationRatioDisplay.from_predictions([0], [[[[1.0]]]], [0.1])
    display = ObservationRatioDisplay({"a": [0.1, 0.2]}, [0.5, 1.0])
    with pytest.raises(ValueError, match=r"expected \(2, R\), one row for each fract"):
        display.to_markdown()
    table = pd.DataFrame([[0.1, 0.2]], index=["x"], columns=[0.5, 1.0])
    with pytest.raises(ValueError, match=r"named by each fraction, .*scores\.T"):
        ObservationRatioDisplay({"a": table}, [0.5, 1.0]).to_markdown()


def test_two_thirds_are_no_more_than_two_thirds():
    """20 of 30 steps, of which the number rounded to six digits would make 21."""
    clips = np.arange(1.0, 31)[None, :, None].repeat(4, axis=0)
    shown = draw({"a": early(20), "b": early(21)}, clips, fractions=[2 / 3])
    assert shown.scores["a"].tolist() == [[1.0]]
    assert shown.scores["b"].tolist() == [[0.0]]


def test_fractions_in_per_cent_are_refused():
    display = ObservationRatioDisplay({"a": [[0.2], [0.5]]}, fractions=[20, 100])
    with pytest.raises(ValueError, match="shares of a clip, above 0 and at most 1"):
        display.plot()
