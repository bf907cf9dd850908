import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skanticipate import LSTM, MLP, SmoothedAnticipator
from skanticipate.metrics import time_to_action
from skanticipate.plotting import (
    AnticipationCurveDisplay,
    LabelFractionDisplay,
    results_table,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

CLASSES = np.array(["cut", "mix", "wash"])
Y = np.array(["cut", "cut", "mix", "wash"])
X = np.zeros((4, 6, 2))


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_a_list_is_neither_runs_nor_models():
    models = [Staged().fit(X, Y), Staged(n_right=(3, 4)).fit(X, Y)]
    with pytest.raises(TypeError, match="got a list: name them"):
        results_table(models, X, Y, k=1)
    table = results_table(pd.Series(models, index=["a", "b"]), X, Y, k=1)
    expected = ["| a | 25.00 | 50.00 |", "| b | 75.00 | 100.00 |"]
    assert table.splitlines()[2:] == expected


def test_networks_that_place_the_end_of_the_same_clips_elsewhere_are_told_of():
    clips = np.random.default_rng(0).normal(size=(12, 3, 2)).astype(np.float32)
    y = np.tile(CLASSES, 4)

    def fitted(time_step, n_steps=1):
        spec = LSTM(4, time_step=time_step, anticipation_steps=n_steps)
        return SmoothedAnticipator(spec, max_epochs=1, random_state=0).fit(clips, y)

    with pytest.warns(UserWarning, match="'a' 0.25 s, 'b' 1 s"):
        table = results_table({"a": fitted(0.25), "b": fitted(1.0)}, clips, y, k=1)
    assert table.splitlines()[0].count(" s |") == 2  # the same moment, twice
    alike = {"a": fitted(0.25), "b": fitted(0.25, n_steps=2)}
    half = make_pipeline(FunctionTransformer(lambda X: X[:, ::2]), fitted(0.5))
    results_table({**alike, "every other": half}, clips, y, k=1)


class Staged(ClassifierMixin, BaseEstimator):
    """Right on the first `n_right` rows at each time, wrong on all others."""

    def __init__(self, times=(1.0, 0.5), n_right=(1, 2), marker=None):
        self.times = times
        self.n_right = n_right
        self.marker = marker

    def fit(self, X, y):
        self.classes_ = CLASSES
        self.unlabeled_label_ = self.marker
        self.anticipation_times_ = np.array(self.times)
        return self

    def predict(self, X):
        return np.full(len(X), CLASSES[0])

    def staged_predict_proba(self, X):
        for n in self.n_right:
            right = np.searchsorted(CLASSES, Y)
            columns = np.where(np.arange(len(X)) < n, right, (right + 1) % 3)
            yield np.eye(3)[columns]


def staged(**parameters):
    return Staged(**parameters).fit(X, Y)


def draw(estimators, y=Y, k=1, **options):
    return AnticipationCurveDisplay.from_estimator(estimators, X, y, k=k, **options)


# ------------------------------------------------------------------------- the numbers


def test_accuracies_by_hand():
    display = draw({"a": staged(), "b": staged(n_right=(3, 4))})
    assert_array_equal(display.anticipation_times, [1.0, 0.5])
    assert_array_equal(display.scores["a"], [[0.25], [0.5]])
    assert_array_equal(display.scores["b"], [[0.75], [1.0]])
    assert display.k == 1


def test_stages_go_by_time_and_not_by_position():
    """One tells the late stage first, one has other times, one another step."""
    display = draw(
        {
            "late first": staged(times=(0.5, 1.0), n_right=(2, 1)),
            "other": staged(times=(2.0, 1.0), n_right=(3, 4)),
            "tenths": staged(times=(10 * 0.1, 5 * 0.1 + 1e-9), n_right=(0, 1)),
        }
    )
    assert_array_equal(display.anticipation_times, [2.0, 1.0, 0.5])
    assert_array_equal(display.scores["late first"], [[np.nan], [0.25], [0.5]])
    assert_array_equal(display.scores["other"], [[0.75], [1.0], [np.nan]])
    assert_array_equal(display.scores["tenths"], [[np.nan], [0.0], [0.25]])


def test_a_list_of_fits_is_one_estimator_with_several_runs():
    runs = [staged(), staged(n_right=(3, 4))]
    assert_array_equal(draw({"a": runs}).scores["a"], [[0.25, 0.75], [0.5, 1.0]])


def test_the_name_of_a_single_estimator_is_its_class():
    assert list(draw(staged()).scores) == ["Staged"]


@pytest.mark.filterwarnings("ignore:k=3 with 3 classes")
def test_k_classes_may_be_named():
    wrong = staged(n_right=(0, 0))
    # the second best is the first of the other columns: right for "cut" alone
    assert_array_equal(draw(wrong, k=2).scores["Staged"], [[0.5], [0.5]])
    assert_array_equal(draw(wrong, k=3).scores["Staged"], [[1.0], [1.0]])


def test_unlabelled_rows_are_left_out():
    y = np.where(np.arange(4) == 1, "", Y)
    display = draw(staged(marker=""), y=y)
    assert_allclose(display.scores["Staged"], [[1 / 3], [1 / 3]])


def test_all_estimators_are_scored_on_the_rows_that_are_labelled_for_each():
    y = np.array(["cut", "?", "mix", "-"])
    models = {"a": staged(marker="?"), "b": staged(n_right=(3, 4), marker="-")}
    scores = draw(models, y=y).scores  # on the first and the third row
    assert_array_equal(scores["a"], [[0.5], [0.5]])
    assert_array_equal(scores["b"], [[1.0], [1.0]])
    table = results_table({"runs": [*models.values(), staged()]}, X, y, k=1)
    assert table.splitlines()[-1].startswith("| runs | 66.67 ± 28.87 |")
    pipe = make_pipeline(FunctionTransformer(), Staged(marker="?")).fit(X, Y)
    piped = draw({"a": pipe, "b": models["b"]}, y=y).scores
    assert_array_equal(piped["a"], scores["a"])
    assert_array_equal(piped["b"], scores["b"])


def test_stages_that_are_named_are_named_as_the_times():
    right = np.eye(3)[np.searchsorted(CLASSES, Y)]
    stages = pd.Series([right, 1 - right], index=[1.0, 0.5])
    options = {"k": 1, "classes": CLASSES}
    assert time_to_action(Y, stages, [1.0, 0.5], **options) == 1.0
    with pytest.raises(ValueError, match="Row 0 of staged_scores is named 1.0"):
        time_to_action(Y, stages, [0.5, 1.0], **options)
    plot = AnticipationCurveDisplay.from_predictions
    assert_array_equal(
        plot(Y, {"a": [stages]}, [1.0, 0.5], **options).scores["a"], [[1.0], [0.0]]
    )
    with pytest.raises(ValueError, match=r"Row 0 of a\[0\] is named 1.0"):
        plot(Y, {"a": [stages]}, [0.5, 1.0], **options)


def test_the_anticipator_is_found_in_pipelines_and_searches():
    shown = []

    def first_step(clips):
        shown.append(clips.shape)
        return clips[:, 1:]

    pipe = make_pipeline(FunctionTransformer(first_step), Staged()).fit(X, Y)
    shown.clear()
    assert_array_equal(draw(pipe).scores["Pipeline"], [[0.25], [0.5]])
    assert shown == [X.shape]
    alone = make_pipeline(Staged()).fit(X, Y)
    grid = {"staged__n_right": [(3, 4)]}
    search = GridSearchCV(alone, grid, cv=KFold(2)).fit(X, Y)
    assert_array_equal(draw(search).scores["GridSearchCV"], [[0.75], [1.0]])


def test_an_lstm_answers_at_all_of_its_times():
    rng = np.random.default_rng(0)
    clips, y = rng.normal(size=(30, 6, 2)), CLASSES[np.arange(30) % 3]
    spec = LSTM(4, anticipation_steps=3, time_step=0.5)
    model = SmoothedAnticipator(spec, max_epochs=3, random_state=0).fit(clips, y)
    display = AnticipationCurveDisplay.from_estimator(model, clips, y, k=1)
    assert_array_equal(display.anticipation_times, [1.5, 1.0, 0.5])
    for row, proba in enumerate(model.staged_predict_proba(clips)):
        accuracy = np.mean(CLASSES[proba.argmax(1)] == y)
        assert display.scores["SmoothedAnticipator"][row, 0] == accuracy
    *_, last = display.scores["SmoothedAnticipator"][:, 0]
    assert last == model.score(clips, y)


def test_predictions_do_as_estimators_do():
    model, other = staged(), staged(n_right=(3, 4))
    display = AnticipationCurveDisplay.from_predictions(
        Y,
        {"a": [list(m.staged_predict_proba(X)) for m in (model, other)]},
        model.anticipation_times_,
        k=1,
        classes=CLASSES,
    )
    expected = draw({"a": [model, other]})
    assert_array_equal(display.scores["a"], expected.scores["a"])
    assert_array_equal(display.anticipation_times, expected.anticipation_times)
    numbers = np.searchsorted(CLASSES, Y)
    again = AnticipationCurveDisplay.from_predictions(
        numbers, {"a": [model.staged_predict_proba(X)]}, [1.0, 0.5], k=1
    )
    assert_array_equal(again.scores["a"], expected.scores["a"][:, :1])


# --------------------------------------------------------------------------- the table


def test_the_table_by_hand():
    scores = {
        "one-hot | LSTM": [[0.3, 0.34], [0.2, 0.2]],
        "VN": [[0.36851], [np.nan]],
    }
    display = AnticipationCurveDisplay(scores, [0.25, 2.0])
    assert display.to_markdown() == (
        "| top-5 accuracy, % | 2 s | 0.25 s |\n"
        "|---|---:|---:|\n"
        "| one-hot \\| LSTM | 20.00 ± 0.00 | 32.00 ± 2.83 |\n"  # 4 / sqrt(2)
        "| VN |  | 36.85 |"
    )


def test_the_table_comes_from_one_call_without_a_picture(monkeypatch):
    estimators = {"a": [staged(), staged(n_right=(3, 4))], "b": staged()}
    expected = draw(estimators).to_markdown()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert results_table(estimators, X, Y, k=1) == expected
    assert expected.splitlines()[2:] == [
        "| a | 50.00 ± 35.36 | 75.00 ± 35.36 |",
        "| b | 25.00 | 50.00 |",
    ]


# Camporese et al., table 1: top-5 accuracy on EPIC-KITCHENS-55, per cent.
TIMES = [2.0, 1.75, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25]
POSTER = {
    "one-hot": [27.71, 28.69, 29.84, 30.90, 31.93, 33.14, 34.10, 35.16],
    "TE": [27.94, 28.90, 30.06, 31.13, 32.19, 33.21, 34.17, 35.10],
    "GL": [28.61, 29.87, 30.97, 31.94, 33.12, 34.40, 35.51, 36.87],
    "GL+VN": [28.88, 29.94, 31.23, 32.54, 33.56, 34.92, 36.06, 37.29],
}


def table_of(per_cent, times=TIMES):
    scores = {name: np.array([row]).T / 100 for name, row in per_cent.items()}
    return AnticipationCurveDisplay(scores, times)


def test_improvements_over_a_baseline_by_hand():
    *rows, last = table_of(POSTER).to_markdown("one-hot").splitlines()
    assert last == (
        "| improvement over one-hot, % points "
        "| +1.17 | +1.25 | +1.39 | +1.64 | +1.63 | +1.78 | +1.96 | +2.13 |"
    )
    assert rows == table_of(POSTER).to_markdown().splitlines()
    baseline = table_of({name: POSTER[name] for name in ("one-hot", "TE")})
    assert baseline.to_markdown("one-hot").endswith("| +0.07 | +0.07 | -0.06 |")


def test_the_best_is_that_of_each_time_and_has_a_sign():
    scores = {
        "a|b": [30, 30, np.nan, 30, 30],
        "c": [31, 28, 25, np.nan, 29.999],
        "d": [29, 29, 26, np.nan, np.nan],
    }
    table = table_of(scores, [5.0, 4.0, 3.0, 2.0, 1.0]).to_markdown(baseline="a|b")
    last = table.splitlines()[-1]
    assert last == (
        "| improvement over a\\|b, % points | +1.00 | -1.00 |  |  | +0.00 |"
    )


def test_improvements_are_of_means_over_runs():
    display = AnticipationCurveDisplay({"a": [[0.2, 0.3]], "b": [[0.31, 0.3]]}, [1.0])
    assert display.to_markdown("a").splitlines()[-1].endswith("points | +5.50 |")


def test_results_table_takes_a_baseline():
    estimators = {"a": staged(n_right=(2, 4)), "b": staged()}
    table = results_table(estimators, X, Y, k=1, baseline="a")
    assert table.splitlines()[-1] == (
        "| improvement over a, % points | -25.00 | -50.00 |"
    )
    with pytest.raises(
        ValueError, match=r"one of the estimators, \['a', 'b'\], got 'z'"
    ):
        results_table(estimators, X, Y, k=1, baseline="z")
    with pytest.raises(ValueError, match="no other estimator to compare with 'Staged'"):
        results_table(staged(), X, Y, k=1, baseline="Staged")


# ------------------------------------------------------------------------- the picture


def test_mean_and_band_by_hand():
    display = AnticipationCurveDisplay(
        {"a": [[0.5, 0.9], [0.2, 0.4]], "b": [[0.3], [0.1]]}, [0.5, 2.0], k=3
    )
    assert display.plot() is display
    assert_allclose(display.lines_[0].get_xydata(), [[2.0, 30], [0.5, 70]])
    assert_allclose(display.lines_[1].get_ydata(), [10, 30])
    assert len(display.bands_) == 1  # a single run has no spread
    edges = display.bands_[0].get_paths()[0].vertices
    spread = 100 * np.array([0.1, 0.2]) * 2**0.5  # with n - 1 = 1 in the denominator
    for x, mean, width in zip([2.0, 0.5], [30, 70], spread, strict=True):
        at = np.unique(edges[edges[:, 0] == x, 1].round(7))
        assert_allclose(at, [mean - width, mean + width], atol=1e-6)
    assert display.ax_.get_ylabel() == "top-3 accuracy, per cent"
    assert "seconds before the action" in display.ax_.get_xlabel()
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["a", "b"]
    display.figure_.canvas.draw()


def test_the_action_is_at_the_right_and_stays_there():
    first = AnticipationCurveDisplay({"a": [[0.1], [0.2]]}, [2.0, 1.0])
    second = draw({"b": staged()}, ax=first.plot(legend=False).ax_, linestyle="--")
    assert first.ax_ is second.ax_
    assert first.ax_.get_legend() is not None  # that of the second
    left, right = first.ax_.get_xlim()
    assert left > 2.0 > 0.5 > right
    assert [line.get_label() for line in first.ax_.lines] == ["a", "b"]
    assert second.lines_[0].get_linestyle() == "--"


def many(n, name="model {}"):
    scores = {name.format(i): [[0.2 + i / 100], [0.3 + i / 100]] for i in range(n)}
    return AnticipationCurveDisplay(scores, [1.0, 0.5]).plot()


def test_twelve_lines_differ_in_colour_and_without():
    lines = many(12).lines_
    shapes = {(line.get_linestyle(), line.get_marker()) for line in lines}
    shades = {(line.get_linestyle(), line.get_color()) for line in lines}
    assert len(shapes) == len(shades) == 12
    okabe_ito = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000".split()
    assert {line.get_color() for line in lines} == set(okabe_ito)


def test_lines_of_two_displays_in_one_axes_differ():
    first, second = many(2), many(2, "other {}")
    second.plot(first.ax_)
    colours = [line.get_color() for line in first.ax_.lines]
    assert len(set(colours)) == 4


@pytest.mark.parametrize("n", [2, 12, 28])
def test_the_legend_stands_beside_the_data_and_on_the_page(n):
    display = many(
        n, "model number {} with a name of more than one line, which is long"
    )
    display.figure_.canvas.draw()
    legend, page = display.ax_.get_legend().get_window_extent(), display.figure_.bbox
    assert legend.x0 >= display.ax_.get_window_extent().x1
    assert legend.x1 <= page.x1 and page.y0 <= legend.y0 and legend.y1 <= page.y1
    assert display.ax_.get_window_extent().width > 300  # dots, of 550 in all


def test_a_line_goes_on_over_times_it_has_no_stage_at():
    scores = {"a": [[0.1, 0.2], [np.nan, np.nan], [0.3, 0.4]]}
    display = AnticipationCurveDisplay(scores, [2.0, 1.5, 1.0]).plot()
    assert_allclose(display.lines_[0].get_xdata(), [2.0, 1.0])
    assert np.isfinite(display.bands_[0].get_paths()[0].vertices).all()


def test_the_constructor_only_stores():
    scores = {"a": [[0.2]]}
    display = AnticipationCurveDisplay(scores, (1.0,), k=2)
    assert display.scores is scores
    assert display.anticipation_times == (1.0,)
    assert not hasattr(display, "ax_")


# ------------------------------------------------------------------------------ errors


def test_who_has_no_stages_is_told_so():
    rows = np.arange(8.0)[:, None]
    boosting = GradientBoostingClassifier(n_estimators=2).fit(rows, rows[:, 0] > 3)
    with pytest.raises(TypeError, match="'boosting' is a GradientBoostingClassifier"):
        draw({"boosting": boosting})
    pooled = SmoothedAnticipator(MLP(2), max_epochs=1).fit(rows, rows[:, 0] > 3)
    with pytest.raises(ValueError, match="network of 'pooled' has no anticipation"):
        AnticipationCurveDisplay.from_estimator({"pooled": pooled}, rows, np.ones(8))
    with pytest.raises(NotFittedError):
        draw(Staged())


@pytest.mark.parametrize("estimators", [{}, {"a": []}])
def test_no_estimator(estimators):
    with pytest.raises(ValueError, match="needs at least one estimator"):
        draw(estimators)


def test_no_labelled_row():
    with pytest.raises(ValueError, match="no labelled rows"):
        draw(staged(marker=""), y=np.full(4, ""))


@pytest.mark.parametrize(
    ("times", "match"),
    [
        ([1.0], r"'a' has 2 stages but anticipation_times has shape \(1,\)"),
        ([1.0, 1.0], "must be distinct, finite seconds"),
        ([1.0, np.nan], "must be distinct, finite seconds"),
        ([1.0, -0.5], "must be distinct, finite seconds"),
    ],
)
def test_bad_anticipation_times(times, match):
    runs = {"a": [list(staged().staged_predict_proba(X))]}
    with pytest.raises(ValueError, match=match):
        AnticipationCurveDisplay.from_predictions(Y, runs, times, k=1, classes=CLASSES)


@pytest.mark.parametrize("scores", [[0.1, 0.2], [[0.1]], [[], []]])
def test_scores_of_another_shape(scores):
    display = AnticipationCurveDisplay({"a": scores}, [1.0, 0.5])
    with pytest.raises(ValueError, match=r"scores of 'a' have shape .* \(2, R\)"):
        display.plot()
    with pytest.raises(ValueError, match=r"expected \(2, R\)"):
        display.to_markdown()


def test_missing_matplotlib_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[plot\]"'):
        AnticipationCurveDisplay({"a": [[0.2]]}, [1.0]).plot()


STAGE = [[0.6, 0.4], [0.9, 0.1]]  # of two rows, the first of class 1


@pytest.mark.parametrize(
    "stage", [STAGE, np.array(STAGE), "table"], ids=["list", "array", "table"]
)
def test_a_single_run_is_a_list_of_one(stage):
    if isinstance(stage, str):
        stage = pytest.importorskip("pandas").DataFrame(STAGE)
    draw, times = AnticipationCurveDisplay.from_predictions, [1.0, 0.5]
    display = draw([1, 0], {"m": [[stage, stage]]}, times, k=1)
    assert_array_equal(display.scores["m"], [[0.5], [0.5]])
    for forgotten in ([stage, stage], iter([stage, stage])):
        with pytest.raises(ValueError, match="expected .n, C.* run is a list of one"):
            draw([1, 0], {"m": forgotten}, times, k=1)
    with pytest.raises(TypeError, match="must be a dict of names to lists of runs"):
        draw([1, 0], [[stage, stage]], times, k=1)
    with pytest.raises(ValueError, match="y_score must have shape .n, C"):
        time_to_action([1, 0], stage, times, k=1)


def test_a_transposed_table_of_scores_is_refused():
    pd = pytest.importorskip("pandas")
    scores = pd.DataFrame(
        [[0.1, 0.2], [0.5, 0.6]], index=[2.0, 1.0], columns=["a", "b"]
    )
    display = AnticipationCurveDisplay({"LSTM": scores}, [2.0, 1.0])
    assert "| LSTM | 15.00 ± 7.07 | 55.00 ± 7.07 |" in display.to_markdown()
    for other in (scores.T, scores.T.reset_index(drop=True)):
        with pytest.raises(ValueError, match=r"columns of the scores of 'LSTM' .*\.T"):
            AnticipationCurveDisplay({"LSTM": other}, [2.0, 1.0]).to_markdown()


@pytest.mark.parametrize("score", [38.33, 1.01, -0.1])
def test_scores_in_per_cent_are_refused(score):
    display = AnticipationCurveDisplay({"a": [[0.5], [score]]}, [1.0, 0.5])
    for draw in (display.plot, display.to_markdown):
        with pytest.raises(ValueError, match=r"The scores of 'a' hold .* in \[0, 1\]"):
            draw()
    known = AnticipationCurveDisplay({"a": [[0.0], [1.0], [np.nan]]}, [1.5, 1.0, 0.5])
    assert "| a | 0.00 | 100.00 |  |" in known.to_markdown()


def test_rows_of_scores_may_name_times_in_words():
    pd = pytest.importorskip("pandas")
    scores = pd.DataFrame([[0.5], [0.6]], index=["1.0 s", "0.5 s"])
    AnticipationCurveDisplay({"a": scores}, [1.0, 0.5]).plot()
    with pytest.raises(ValueError, match="Row 0 of the scores of 'a' is named '0.5 s'"):
        AnticipationCurveDisplay({"a": scores[::-1]}, [1.0, 0.5]).plot()


def test_hidden_scores_are_refused():
    hidden = np.ma.array([[0.5, 0.6]], mask=[[False, True]])
    for display in (
        AnticipationCurveDisplay({"a": hidden}, [1.0]),
        LabelFractionDisplay({"a": hidden}, [0.5]),
    ):
        with pytest.raises(ValueError, match="scores of 'a' is a masked array"):
            display.plot()
