import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skanticipate import MLP, SmoothedAnticipator
from skanticipate.plotting import TopPredictionsDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

CLASSES = ["cut onion", "mix soup", "peel onion", "wash pan"]
Y = np.array(["mix soup", "wash pan", "cut onion"])
A = np.array([[0.1, 0.6, 0.2, 0.1], [0.4, 0.1, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25]])
B = np.array([[0.5, 0.1, 0.1, 0.3], [0.0, 0.0, 0.0, 1.0], [0.2, 0.3, 0.4, 0.1]])
X = np.arange(3.0)[:, None]  # a row tells its number


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


class Answers(ClassifierMixin, BaseEstimator):
    """Answers row number i with row i of its table."""

    def __init__(self, table=A, labels=CLASSES):
        self.table = table
        self.labels = labels

    def fit(self, X, y=None):
        self.classes_ = np.array(self.labels)
        return self

    def predict_proba(self, X):
        return self.table[np.asarray(X)[:, 0].astype(int)]


def draw(estimators, **options):
    return TopPredictionsDisplay.from_estimator(estimators, X, Y, **options)


def predicted(proba=A, y=Y, classes=CLASSES, **options):
    return TopPredictionsDisplay.from_predictions(y, proba, classes, **options)


def names(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def widths(bars):
    return [bar.get_width() for bar in bars]


def marked(bars):
    return [k for k, bar in enumerate(bars) if bar.get_hatch()]


# ---------------------------------------------------------------------- what is shown


def test_bars_by_hand():
    display = draw({"a": Answers().fit(X), "b": Answers(B).fit(X)}, clip=[1, 0], k=3)
    assert display.axes_.shape == (2, 2)
    assert names(display.axes_[0, 0]) == ["cut onion", "peel onion", "wash pan"]
    assert widths(display.bars_[0][0]) == [0.4, 0.3, 0.2]
    assert names(display.axes_[0, 1]) == ["wash pan", "cut onion", "mix soup"]
    assert widths(display.bars_[0][1]) == [1.0, 0.0, 0.0]
    assert names(display.axes_[1, 0]) == ["mix soup", "peel onion", "cut onion"]
    assert_array_equal(display.ranks_, [[3, 1], [1, 3]])
    assert [marked(b) for row in display.bars_ for b in row] == [[2], [0], [0], [2]]
    display.figure_.canvas.draw()


def test_the_truth_is_marked_by_colour_hatch_and_a_bold_name():
    display = predicted(clip=1)
    (bars,) = display.bars_[0]
    colours = [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in bars]
    assert colours == ["#bfbfbf", "#bfbfbf", "#d55e00", "#bfbfbf"]
    assert marked(bars) == [2]
    labels = display.axes_[0, 0].get_yticklabels()
    assert [t.get_fontweight() == "bold" for t in labels] == [False, False, True, False]
    again = display.plot(color="white", truth_color="black")
    assert again.bars_[0][0][2].get_facecolor() == (0, 0, 0, 1)


def test_the_rank_is_told_beyond_the_k_shown():
    display = predicted(B, clip=0, k=2)
    assert display.ranks_ == [[3]]
    assert marked(display.bars_[0][0]) == []
    assert display.axes_[0, 0].get_title() == "model\ntruth: rank 3 of 4, p = 0.1"
    assert display.axes_[0, 0].get_ylabel() == "clip 0\nmix soup"


def test_ranks_are_those_of_a_sort():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(30), size=6)
    y = rng.integers(30, size=6)
    display = predicted(proba, y, range(30), clip=range(6))
    for r, (row, label) in enumerate(zip(proba, y, strict=True)):
        ranked = sorted(range(30), key=lambda c, row=row: -row[c])
        assert display.ranks_[r, 0] == ranked.index(label) + 1
        assert names(display.axes_[r, 0]) == [str(c) for c in ranked[:10]]


def test_equal_probabilities_rank_in_the_order_of_the_classes():
    display = predicted(clip=2)
    assert display.ranks_ == [[1]]
    assert names(display.axes_[0, 0]) == CLASSES


def test_all_panels_have_one_scale_and_the_best_bar_at_the_top():
    display = predicted({"a": A, "b": B}, clip=[0, 1])
    assert {ax.get_xlim() for ax in display.axes_.flat} == {(0, 1.05)}
    for ax in display.axes_.flat:
        bottom, top = ax.get_ylim()
        assert top < 0 < 3 < bottom


def test_estimators_and_their_predictions_give_one_picture():
    rng = np.random.default_rng(0)
    clips, y = rng.normal(size=(40, 3)), np.array(CLASSES)[np.arange(40) % 4]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(clips, y)
    ours = SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0).fit(clips, y)
    models = {"peer": model, "ours": ours}
    shown = TopPredictionsDisplay.from_estimator(models, clips, y, clip=[7, 2])
    proba = {name: m.predict_proba(clips) for name, m in models.items()}
    again = predicted(proba, y, model.classes_, clip=[7, 2])
    assert_array_equal(shown.ranks_, again.ranks_)
    for left, right in zip(shown.axes_.flat, again.axes_.flat, strict=True):
        assert names(left) == names(right)
    assert [shown.y_true[0], shown.clips[0]] == [y[7], 7]


def test_the_name_of_a_single_estimator_is_its_class():
    assert list(draw(Answers().fit(X)).proba) == ["Answers"]


# ---------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "given",
    [
        {0: "cut onion", 1: "mix soup"},
        {0: ("cut", "onion"), 1: ("mix", "soup")},
        {"label": [0, 1], "verb": ["cut", "mix"], "noun": ["onion", "soup"]},
    ],
    ids=["text", "pair", "table"],
)
def test_names_of_classes(given):
    display = predicted([[0.2, 0.5, 0.3]], [1], [0, 1, 2], class_names=given)
    assert names(display.axes_[0, 0]) == ["mix soup", "2", "cut onion"]
    assert display.axes_[0, 0].get_ylabel() == "clip 0\nmix soup"


def test_long_names_are_wrapped_and_shortened():
    long = "put down the large cutting board " * 4
    display = predicted([[0.9, 0.1]], [0], [0, 1], class_names={0: long, 1: "x" * 99})
    for name in names(display.axes_[0, 0]):
        lines = name.split("\n")
        assert len(lines) == 3 and max(map(len, lines)) <= 24 and name.endswith("…")


def test_titles_fit_over_many_classes():
    proba = np.full((1, 3806), 1 / 3806) + np.linspace(1e-7, -1e-7, 3806)
    display = predicted({"a": proba, "b": proba, "c": proba}, [3805], range(3806))
    display.figure_.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in display.axes_.flat]
    assert boxes[0].x1 < boxes[1].x0 and boxes[1].x1 < boxes[2].x0
    assert boxes[2].x1 <= display.figure_.bbox.x1
    assert "rank 3806 of 3806" in display.axes_[0, 0].get_title()


def test_nothing_is_cut_off_and_no_names_touch():
    long = {c: f"{name} in the large pan with a lid" for c, name in enumerate(CLASSES)}
    model = "a model with a rather long name that must not run into others"
    display = predicted({model: A, "b": B}, [1, 3, 0], range(4), class_names=long)
    figure = display.figure_
    figure.canvas.draw()
    page, boxes = figure.bbox, []
    for ax in display.axes_.flat:
        labels = [t.get_window_extent() for t in ax.get_yticklabels()]
        for above, below in zip(labels, labels[1:], strict=False):
            assert above.y0 >= below.y1
        boxes.append(ax.get_tightbbox())
        assert page.x0 <= boxes[-1].x0 and boxes[-1].x1 <= page.x1
        assert page.y0 <= boxes[-1].y0 and boxes[-1].y1 <= page.y1
    assert boxes[0].x1 <= boxes[1].x0


# ------------------------------------------------------------------ where it is drawn


def test_it_draws_into_the_given_axes():
    figure, axes = plt.subplots(1, 2)
    display = TopPredictionsDisplay({"a": A[:1], "b": B[:1]}, Y[:1], CLASSES)
    assert display.plot(axes) is display
    assert list(display.axes_.flat) == list(axes)
    assert display.figure_ is figure
    _, ax = plt.subplots()
    assert predicted(ax=ax).axes_[0, 0] is ax
    with pytest.raises(ValueError, match="each of 1 clips and 2 models, got 1"):
        display.plot(ax)


def test_the_constructor_only_stores():
    proba, classes = {"a": A}, ("x",)
    display = TopPredictionsDisplay(proba, Y, classes, k=0)
    assert display.proba is proba and display.y_true is Y and display.k == 0
    assert display.classes is classes
    assert display.clips is None and display.class_names is None
    assert not hasattr(display, "axes_")


# ----------------------------------------------------------------------------- errors


def test_a_truth_that_is_no_class_is_named():
    y = np.array(["mix soup", "fly kite", "cut onion"])
    with pytest.raises(ValueError, match="of clip 1 is 'fly kite', which is none"):
        predicted(y=y, clip=[0, 1])
    assert predicted(y=y, clip=[0, 2]).ranks_.shape == (2, 1)
    with pytest.raises(ValueError, match="holds no strings, such as 1, unlike"):
        predicted(y=[1, 2, 3])


def test_estimators_must_know_the_same_classes():
    others = Answers(labels=[*CLASSES[:3], "wash pot"]).fit(X)
    match = r"'a' and 'b' know different classes.* \['wash pan', 'wash pot'\]"
    with pytest.raises(ValueError, match=match):
        draw({"a": Answers().fit(X), "b": others})
    with pytest.raises(ValueError, match="or in another order"):
        draw({"a": Answers().fit(X), "b": Answers(labels=CLASSES[::-1]).fit(X)})


@pytest.mark.parametrize(
    ("clip", "got"), [([], r"\[\]"), (3, "3"), ([0, -1], "-1"), (range(0), r"\[\]")]
)
def test_clips_must_be_rows(clip, got):
    with pytest.raises(ValueError, match=f"rows from 0 to 2, at least one, got {got}"):
        predicted(clip=clip)
    with pytest.raises(ValueError, match=f"rows from 0 to 2, at least one, got {got}"):
        draw(Answers().fit(X), clip=clip)


def test_nothing_to_show():
    for estimators in ({}, {"a": A[:0]}):
        y = Y[:0] if estimators else Y
        with pytest.raises(ValueError, match="at least one"):
            TopPredictionsDisplay(estimators, y, CLASSES).plot()
    with pytest.raises(ValueError, match="at least one model and one clip, got 0"):
        draw({})


def test_who_has_no_probabilities_is_told_so():
    model = LinearSVC().fit(X, Y)
    with pytest.raises(TypeError, match="'svc' is a LinearSVC and has no predict_pro"):
        draw({"svc": model})
    with pytest.raises(NotFittedError):
        draw(Answers())


@pytest.mark.parametrize(
    ("proba", "match"),
    [
        (A[:2], r"proba\['model'\] has 2 rows but y_true has 3"),
        (A[:, :3], r"has shape \(1, 3\): expected \(1, 4\)"),
        (2 * A, "must hold probabilities.*Row 0 sums to 2"),
        (np.full((3, 4), np.nan), "must hold probabilities"),
        (np.ma.masked_greater(A, 0.5), "masked array that hides 1"),
    ],
    ids=["rows", "columns", "sums", "nan", "masked"],
)
def test_bad_probabilities(proba, match):
    with pytest.raises(ValueError, match=match):
        predicted(proba)


@pytest.mark.parametrize("k", [0, 2.5, True])
def test_k_is_a_count(k):
    with pytest.raises((TypeError, ValueError), match="k "):
        predicted(k=k)


def test_classes_must_be_distinct_and_names_a_mapping():
    with pytest.raises(ValueError, match="classes must not repeat a label"):
        predicted(classes=["mix soup", "mix soup", "wash pan", "peel"])
    with pytest.raises(ValueError, match=r"got a list: dict\(zip\(classes, names"):
        predicted(class_names=CLASSES)


def test_tables_that_say_otherwise_are_refused():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(A, columns=CLASSES, index=["p", "q", "r"])
    assert_array_equal(predicted(table).ranks_, predicted().ranks_)
    with pytest.raises(ValueError, match="columns of proba.* in another order"):
        predicted(table, classes=CLASSES[::-1])
    with pytest.raises(ValueError, match="The rows of proba.*, next to y_true"):
        predicted(table, pd.Series(Y, index=["r", "q", "p"]))
    with pytest.raises(ValueError, match="The rows of proba.*, next to proba"):
        predicted({"a": table, "b": table[::-1]})
    truths = pd.Series(Y, ["r", "q", "p"])
    display = TopPredictionsDisplay({"a": table}, truths, CLASSES)
    with pytest.raises(ValueError, match="The rows of proba.*, next to y_true"):
        display.plot()


def test_missing_matplotlib_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[plot\]"'):
        predicted()


@pytest.mark.parametrize("mask", [[True, False], np.array([True, False])])
def test_a_mask_is_no_list_of_rows(mask):
    with pytest.raises(TypeError, match="clip must hold numbers, got True"):
        predicted(clip=mask)
