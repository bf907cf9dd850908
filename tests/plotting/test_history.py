import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import MLP, DistilledAnticipator, SmoothedAnticipator
from skanticipate.plotting import HistoryDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

Y = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 4)) + Y[:, None]
HISTORY = [
    {"epoch": 1, "lr": 0.1, "loss": 4.0, "base": 3.0, "text": 1.0, "val_score": 0.1},
    {"epoch": 2, "lr": 0.1, "loss": 2.5, "base": 2.0, "text": 0.5, "val_score": 0.4},
]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def student():
    model = DistilledAnticipator(
        MLP(4), teacher_weight=0.5, feature_weight=0.1, max_epochs=3, random_state=0
    )
    rows = np.arange(60) < 45
    return model.fit(X[rows], Y[rows], X[rows] + 1, X_val=X[~rows], y_val=Y[~rows])


def labels_of(display):
    """Label of the vertical axis of each panel, on one line."""
    return [ax.get_ylabel().replace("\n", " ") for ax in display.axes_[:, 0]]


def test_every_figure_of_the_records_is_a_line(student):
    display = HistoryDisplay.from_estimator(student)
    assert display.axes_.shape == (2, 1)
    assert labels_of(display) == ["loss", "validation accuracy, %"]
    names = set(student.history_[0]) - {"epoch", "lr"}
    assert {"loss", "base", "teacher", "feature", "val_loss", "val_accuracy"} <= names
    assert set(display.lines_[0]) == names
    for name, line in display.lines_[0].items():
        told = np.array([record[name] for record in student.history_])
        assert_array_equal(line.get_xdata(), [1, 2, 3])
        scale = 100 if name.endswith("accuracy") else 1
        assert_allclose(line.get_ydata(), scale * told)
    assert display.plot() is display
    display.figure_.canvas.draw()


def test_student_and_teacher_stand_side_by_side_on_one_scale(student):
    models = {"student": student, "teacher": student.teacher_}
    display = HistoryDisplay.from_estimator(models)
    assert [ax.get_title() for ax in display.axes_[0]] == ["student", "teacher"]
    for left, right in display.axes_:
        assert left.get_ylim() == right.get_ylim()
    of_teacher = display.lines_[1]["base"]
    assert len(of_teacher.get_xdata()) == len(student.teacher_.history_)
    both = [lines["base"] for lines in display.lines_]
    assert both[0].get_color() == both[1].get_color()
    assert both[0].get_linestyle() == both[1].get_linestyle()


def test_legends_name_all_lines_beside_the_data(student):
    models = {"student": student, "teacher": student.teacher_}
    display = HistoryDisplay.from_estimator(models)
    display.figure_.canvas.draw()
    for ax in display.axes_[:, -1]:
        box = ax.get_legend().get_window_extent()
        assert box.x0 > ax.get_window_extent().x1
        assert box.x1 <= display.figure_.bbox.x1
    texts = [t.get_text() for t in display.axes_[0, -1].get_legend().get_texts()]
    assert {"loss (all terms)", "base", "teacher", "feature", "val_loss"} <= set(texts)
    hidden = HistoryDisplay.from_estimator(student, legend=False)
    assert hidden.axes_[0, 0].get_legend() is None


def test_lines_differ_without_colours(student):
    display = HistoryDisplay.from_estimator(student, panels=["loss"])
    styles = [(a.get_linestyle(), a.get_marker()) for a in display.axes_[0, 0].lines]
    assert len(set(styles)) == len(styles) >= 4


def test_a_learning_rate_that_stays_needs_no_panel():
    assert labels_of(HistoryDisplay({"m": HISTORY}).plot()) == [
        "loss",
        "validation score",
    ]
    falling = [{**record, "lr": 0.1 / record["epoch"]} for record in HISTORY]
    display = HistoryDisplay({"m": falling}).plot()
    assert labels_of(display)[-1] == "learning rate"
    assert_allclose(display.lines_[0]["lr"].get_ydata(), [0.1, 0.05])


def test_panels_are_chosen_in_their_order():
    display = HistoryDisplay({"m": HISTORY}, panels=["score", "lr"]).plot()
    assert labels_of(display) == ["validation score", "learning rate"]
    with pytest.raises(ValueError, match=r"some of \['loss', 'score', 'lr'\]"):
        HistoryDisplay({"m": HISTORY}, panels=["accuracy"]).plot()
    with pytest.raises(ValueError, match="some of"):
        HistoryDisplay({"m": HISTORY}, panels=[]).plot()


def test_axes_may_be_given():
    figure, axes = plt.subplots(1, 2)
    display = HistoryDisplay({"m": HISTORY}).plot(ax=axes, linewidth=4)
    assert display.figure_ is figure
    assert list(display.axes_[:, 0]) == list(axes)
    assert all(line.get_linewidth() == 4 for ax in axes for line in ax.lines)
    with pytest.raises(ValueError, match="2 panels and 1 estimators, got 1"):
        HistoryDisplay({"m": HISTORY}).plot(ax=axes[0])
    one = HistoryDisplay({"m": HISTORY}, panels=["loss"]).plot(ax=axes[0])
    assert one.axes_[0, 0] is axes[0]


def test_figures_that_come_later_begin_later():
    """A warm start may add a term."""
    later = [*HISTORY, {"epoch": 3, "lr": 0.1, "loss": 2.0, "base": 1.5, "new": 0.5}]
    display = HistoryDisplay({"m": later}).plot()
    assert_array_equal(display.lines_[0]["new"].get_ydata(), [np.nan, np.nan, 0.5])
    assert_array_equal(display.lines_[0]["text"].get_ydata(), [1, 0.5, np.nan])


def test_the_anticipator_inside_is_found():
    model = SmoothedAnticipator(MLP(4), max_epochs=2, random_state=0)
    pipe = make_pipeline(StandardScaler(), model)
    grid = {"smoothedanticipator__lr": [0.01]}
    search = GridSearchCV(pipe, grid, cv=2).fit(X, Y)
    display = HistoryDisplay.from_estimator(search)
    told = [record["loss"] for record in search.best_estimator_[-1].history_]
    assert_allclose(display.lines_[0]["loss"].get_ydata(), told)


def test_what_has_no_history_is_refused():
    with pytest.raises(TypeError, match="LogisticRegression and has no history_"):
        HistoryDisplay.from_estimator(LogisticRegression().fit(X, Y))
    with pytest.raises(TypeError, match="has no history_"):
        HistoryDisplay.from_estimator(SmoothedAnticipator())
    with pytest.raises(TypeError, match="got a list"):
        HistoryDisplay.from_estimator([SmoothedAnticipator()])
    for nothing in ({}, {"m": []}):
        with pytest.raises(ValueError, match="at least one"):
            HistoryDisplay(nothing).plot()
