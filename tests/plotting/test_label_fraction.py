import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skanticipate import (
    MLP,
    DistilledAnticipator,
    NetworkSpec,
    Output,
    SmoothedAnticipator,
)
from skanticipate.plotting import LabelFractionDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

N_OF_CLASS = [20, 10, 2]
Y = np.repeat([0, 1, 2], N_OF_CLASS)
X = np.arange(len(Y), dtype=float)[:, None]  # a row tells its number
FUTURE = X + 100


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_scores_have_a_row_for_each_fraction():
    for scores in (np.ones((3, 2)), np.ones(2)):
        with pytest.raises(ValueError, match=r"'m' have shape .*: expected \(2, R\)"):
            LabelFractionDisplay({"m": scores}, [0.1, 1.0]).plot()


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers what each fit was given; the list is shared by clones."""

    seen = []

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y, **aligned):
        self.classes_ = np.unique([v for v in y if v != -1])
        self.seen.append({"X": X, "y": y, "seed": self.random_state, **aligned})
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


class Student(Spy):
    def __init__(self, teacher=None, random_state=None):
        super().__init__(random_state)
        self.teacher = teacher


class Plain(Spy):
    pass


@pytest.fixture(autouse=True)
def nothing_seen():
    Spy.seen.clear()


def draw(estimators, y=Y, future=FUTURE, **options):
    options = {"fractions": [0.25, 0.5, 1.0], "n_repeats": 2} | options
    return LabelFractionDisplay.from_estimator(
        estimators, X, y, future, X_test=X, y_test=Y, **options
    )


def labelled(fit):
    """Numbers of the rows whose label a fit could see."""
    return set(fit["X"][np.asarray(fit["y"] != -1, dtype=bool), 0].astype(int))


# --------------------------------------------------------------- what labels are hidden


def test_a_share_of_each_class_stays_and_at_least_one_label():
    draw(Student(), n_repeats=1)
    counts = [[(fit["y"] == c).sum() for c in range(3)] for fit in Spy.seen]
    assert counts == [[5, 2, 1], [10, 5, 1], [20, 10, 2]]


def test_hidden_labels_are_hidden_and_the_others_are_true():
    draw(Student())
    for fit in Spy.seen:
        shown = fit["y"] != -1
        assert_array_equal(fit["y"][shown], Y[shown])
        assert_array_equal(fit["X"], X)
        assert_array_equal(fit["X_future_unlabeled"], FUTURE)
    assert not (Y == -1).any()


def test_smaller_fractions_keep_a_part_of_what_larger_ones_keep():
    draw(Student())
    for few, half, everything in (Spy.seen[:3], Spy.seen[3:]):
        assert labelled(few) < labelled(half) < labelled(everything)


def test_repeats_keep_other_labels_and_the_seed_decides():
    draw(Student(), fractions=[0.5])
    first, second = map(labelled, Spy.seen)
    assert first != second
    Spy.seen.clear()
    draw(Student(), fractions=[0.5])
    assert [first, second] == [labelled(fit) for fit in Spy.seen]
    Spy.seen.clear()
    draw(Student(), fractions=[0.5], random_state=1)
    assert first not in [labelled(fit) for fit in Spy.seen]


def test_rows_without_label_stay_so_and_do_not_count():
    y = Y.copy()
    y[:10] = -1  # leaves 10 of class 0
    draw(Student(), y=y, n_repeats=1)
    assert [(fit["y"] == 0).sum() for fit in Spy.seen] == [2, 5, 10]
    assert all((fit["y"][:10] == -1).all() for fit in Spy.seen)


@pytest.mark.parametrize(
    "names",
    [np.array(["cut", "mix", "wash"]), np.array([0, 1, 2], dtype="uint8")],
    ids=["strings", "unsigned"],
)
def test_labels_of_any_kind_are_hidden_behind_the_number(names):
    y, model = names[Y], DistilledAnticipator(MLP(4), max_epochs=1, random_state=0)
    display = LabelFractionDisplay.from_estimator(
        model, X, y, X, X_test=X, y_test=y, fractions=[0.5], n_repeats=1
    )
    assert display.scores["DistilledAnticipator"].shape == (1, 1)
    draw({"a": Student(), "b": Plain()}, y=y, fractions=[0.5], n_repeats=1)
    student, plain = Spy.seen
    assert sum(value == -1 for value in student["y"].tolist()) == 16
    assert plain["y"].dtype == y.dtype


class Marked(Student):
    def __init__(self, teacher=None, unlabeled_label="auto", classes=None):
        super().__init__(teacher)
        self.unlabeled_label = unlabeled_label
        self.classes = classes

    def fit(self, X, y, X_future_unlabeled=None):
        self.seen.append({"y": list(y)})
        self.classes_ = np.unique(Y)
        return self


@pytest.mark.parametrize("wrap", [lambda m: m, make_pipeline], ids=["bare", "pipeline"])
@pytest.mark.parametrize("marker", [99, 300, np.nan, "none", -1])
def test_labels_are_hidden_behind_the_marker_of_the_estimator(marker, wrap):
    y = Y.astype("uint8")
    if marker == 99:
        y[:10] = 99  # leaves 10 of class 0
    with sklearn.config_context(enable_metadata_routing=True):
        model = Marked(unlabeled_label=marker)
        model.set_fit_request(X_future_unlabeled=True)
        draw(wrap(model), y=y, fractions=[0.5], n_repeats=1)
    (fit,) = Spy.seen
    n_kept = (5 if marker == 99 else 10) + 5 + 1
    hidden = [v for v in fit["y"] if v == marker or v != v]
    assert len(hidden) == 32 - n_kept
    assert sum(v in (0, 1, 2) for v in fit["y"]) == n_kept


def test_a_marker_inside_a_search_counts():
    search = GridSearchCV(Marked(unlabeled_label=99), {"teacher": [None]}, cv=2)
    search.set_params(cv=[([0, 31], [0])])
    draw(search, fractions=[0.5], n_repeats=1)
    assert Spy.seen[-1]["y"].count(99) == 16


class MarkedAlone(Spy):
    """Knows unlabelled rows, and no teacher."""

    def __init__(self, unlabeled_label="auto", random_state=None):
        super().__init__(random_state)
        self.unlabeled_label = unlabeled_label


@pytest.mark.parametrize("wrap", [lambda m: m, make_pipeline], ids=["bare", "pipeline"])
@pytest.mark.parametrize("marker", [99, np.nan])
def test_what_an_estimator_without_teacher_marks_is_no_label(marker, wrap):
    y = Y.astype(float)
    y[:10] = marker  # leaves 10 of class 0
    display = draw(
        {"a": wrap(MarkedAlone(marker)), "b": Plain()},
        y=y,
        fractions=[1.0],
        n_repeats=1,
    )
    assert [list(fit["y"]) for fit in Spy.seen] == [Y[10:].tolist()] * 2
    assert display.n_labeled == [22]


def test_minus_one_is_a_class_where_an_estimator_without_teacher_says_so():
    draw(MarkedAlone(unlabeled_label=None), y=Y - 1, fractions=[1.0], n_repeats=1)
    assert list(Spy.seen[0]["y"]) == (Y - 1).tolist()


def test_minus_one_is_a_class_where_all_estimators_have_another_marker():
    y = Y - 1
    draw(Marked(unlabeled_label=99), y=y, fractions=[0.5], n_repeats=1)
    counts = [Spy.seen[0]["y"].count(v) for v in (-1, 0, 1, 99)]
    assert counts == [10, 5, 1, 16]


def test_rows_that_one_estimator_marks_are_unlabelled_for_all():
    y = Y.copy()
    y[0], y[1] = -1, 99
    models = {"a": Marked(), "b": Marked(unlabeled_label=99), "c": Plain()}
    draw(models, y=y, fractions=[1.0], n_repeats=1)
    a, b, plain = (list(fit["y"]) for fit in Spy.seen)
    assert a[:3] == [-1, -1, 0] and b[:3] == [99, 99, 0]
    assert plain == Y[2:].tolist()


@pytest.mark.parametrize("options", [{"unlabeled_label": None}, {"classes": [-1, 0]}])
def test_an_estimator_that_knows_no_unlabelled_rows_is_refused(options):
    with pytest.raises(ValueError, match="cannot be hidden from it: set unlabeled_lab"):
        draw(Marked(**options))
    with pytest.raises(ValueError, match="set marked__unlabeled_label to a value"):
        draw(make_pipeline(Marked(**options)))
    assert Spy.seen == []


def test_what_is_hidden_is_no_class_of_the_fit():
    class Kept(DistilledAnticipator):
        def fit(self, X_past, y, X_future_unlabeled=None, **signals):
            super().fit(X_past, y, X_future_unlabeled, **signals)
            Spy.seen.append((self.classes_.tolist(), self.n_unlabeled_))
            return self

    model = Kept(MLP(4), max_epochs=1, unlabeled_label=99)
    draw(model, future=X, fractions=[0.5], n_repeats=1)
    assert Spy.seen == [([0, 1, 2], 16)]


# -------------------------------------------------------------------- who is fitted how


def test_an_estimator_without_teacher_gets_the_same_labelled_rows_alone():
    draw({"student": Student(), "plain": Plain()})
    for student, plain in zip(Spy.seen[::2], Spy.seen[1::2], strict=True):
        assert labelled(student) == set(plain["X"][:, 0].astype(int))
        assert len(plain["y"]) == len(labelled(student))
        assert_array_equal(plain["y"], Y[plain["X"][:, 0].astype(int)])
        assert plain["y"].dtype == Y.dtype
        assert "X_future_unlabeled" not in plain


def test_a_teacher_inside_a_search_counts():
    search = GridSearchCV(Student(), {"teacher": [None]}, cv=[([0, 31], [0])])
    draw(search, fractions=[0.5], n_repeats=1)
    assert_array_equal(Spy.seen[-1]["X_future_unlabeled"], FUTURE)
    assert (Spy.seen[-1]["y"] == -1).sum() == 16


def test_a_pipeline_scales_the_futures_with_routing():
    model = Pipeline(
        [
            ("scale", StandardScaler()),
            ("student", DistilledAnticipator(MLP(4), max_epochs=1)),
        ],
        transform_input=["X_future_unlabeled"],
    )
    with sklearn.config_context(enable_metadata_routing=True):
        display = draw(model, fractions=[0.5], n_repeats=1, future=X)
    assert display.scores["Pipeline"].shape == (1, 1)


def test_groups_go_to_those_who_read_them():
    class Grouped(Plain):
        def fit(self, X, y, groups=None):
            return super().fit(X, y, groups=groups)

    groups = np.arange(len(Y)) // 2
    draw(
        {"student": Student(), "plain": Plain(), "grouped": Grouped()},
        fractions=[0.5],
        n_repeats=1,
        groups=groups,
    )
    student, plain, grouped = Spy.seen
    assert_array_equal(student["groups"], groups)
    assert "groups" not in plain
    assert_array_equal(grouped["groups"], groups[grouped["X"][:, 0].astype(int)])


def test_open_seeds_are_set_for_each_repeat_and_shared():
    draw({"a": Student(), "b": Plain(), "c": Plain(random_state=7)}, fractions=[0.5])
    seeds = [fit["seed"] for fit in Spy.seen]
    assert seeds[0] == seeds[1] and seeds[3] == seeds[4]
    assert seeds[0] != seeds[3]
    assert seeds[2] == seeds[5] == 7


def test_the_estimators_passed_are_not_fitted():
    model = Student()
    draw(model)
    assert not hasattr(model, "classes_")


# --------------------------------------------------------------------------- the scores


def test_scores_are_those_of_fits_by_hand():
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(32, 3)) + Y[:, None]
    display = LabelFractionDisplay.from_estimator(
        {"logistic": LogisticRegression()},
        clips,
        Y,
        clips,
        X_test=clips,
        y_test=Y,
        fractions=[1.0],
        n_repeats=2,
        scoring="neg_log_loss",
    )
    by_hand = LogisticRegression().fit(clips, Y).predict_log_proba(clips)
    expected = by_hand[np.arange(32), Y].mean()
    assert_allclose(display.scores["logistic"], [[expected, expected]])
    assert display.ax_.get_ylabel() == "neg log loss"
    assert display.n_labeled == [32]


def test_own_score_is_the_default():
    display = draw(Plain())
    assert_allclose(display.scores["Plain"], np.full((3, 2), 20 / 32))
    assert display.ax_.get_ylabel() == "score"


def test_the_same_seed_gives_the_same_scores():
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(32, 3)) + Y[:, None]

    def scores(random_state):
        return LabelFractionDisplay.from_estimator(
            DistilledAnticipator(MLP(4), max_epochs=2),
            clips,
            Y,
            clips,
            X_test=clips,
            y_test=Y,
            fractions=[0.25],
            n_repeats=2,
            scoring="neg_log_loss",
            random_state=random_state,
        ).scores["DistilledAnticipator"]

    assert_array_equal(scores(0), scores(0))
    assert (scores(0) != scores(1)).all()


class Counting(nn.Linear):
    """Notes the size of every batch it is trained on."""

    batches = []

    def forward(self, clips):
        if self.training:
            self.batches.append(len(clips))
        return Output(super().forward(clips).unsqueeze(1))


class CountingSpec(NetworkSpec):
    def build(self, input_shape, n_classes, *, generator):
        return Counting(*input_shape, n_classes)


def test_labels_only_control_takes_as_many_steps():
    """The control of the docstring is fair; the plain estimator is not."""

    def count(model):
        Counting.batches.clear()
        draw(model, fractions=[0.25], n_repeats=1, future=X)
        return len(Counting.batches)

    options = {"max_epochs": 3, "batch_size": 8, "random_state": 0}
    student = DistilledAnticipator(CountingSpec(), teacher=DummyClassifier(), **options)
    assert count(student) == 3 * 4  # 32 rows
    assert count(student.set_params(unlabeled_fraction=0)) == 3 * 4
    assert count(SmoothedAnticipator(CountingSpec(), **options)) == 3 * 1  # 8 labels


def test_labels_only_control_learns_from_labels_alone():
    """With such a teacher the other rows and the futures change nothing."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(32, 3))
    y = np.where(np.arange(32) % 4, -1, Y)
    others = np.where(y[:, None] == -1, rng.normal(size=(32, 3)), clips)
    model = DistilledAnticipator(
        MLP(4),
        teacher=DummyClassifier(),
        unlabeled_fraction=0,
        max_epochs=2,
        random_state=0,
    )
    expected = model.fit(clips, y, clips).predict_proba(clips)
    assert_array_equal(model.fit(others, y, -clips).predict_proba(clips), expected)
    assert not model.started_from_teacher_
    assert model.feature_weight_ == 0


# -------------------------------------------------------------------------- the picture


def test_mean_and_band_by_hand():
    display = LabelFractionDisplay(
        {"a": [[0.2, 0.4], [0.5, 0.9]], "b": [[0.1, 0.1], [0.3, 0.3]]},
        [0.1, 0.5],
        n_labeled=[3, 15],
        score_name="accuracy",
    )
    assert display.plot() is display
    assert_allclose(display.lines_[0].get_xydata(), [[10, 0.3], [50, 0.7]])
    assert_allclose(display.lines_[1].get_ydata(), [0.1, 0.3])
    edges = display.bands_[0].get_paths()[0].vertices
    spread = np.array([0.1, 0.2]) * 2**0.5  # with n - 1 = 1 in the denominator
    for x, mean, width in zip([10, 50], [0.3, 0.7], spread, strict=True):
        at = np.unique(edges[edges[:, 0] == x, 1].round(9))
        assert_allclose(at, [mean - width, mean + width], atol=1e-8)
    texts = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert texts == ["10\n(3)", "50\n(15)"]
    assert display.ax_.get_xlabel() == "labelled rows, per cent (number)"
    assert display.ax_.get_ylabel() == "accuracy"
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["a", "b"]
    display.figure_.canvas.draw()


def test_one_repeat_has_no_band():
    display = LabelFractionDisplay({"a": [[0.2], [0.5]]}, [0.1, 0.5]).plot(legend=False)
    assert display.bands_ == []
    assert display.ax_.get_legend() is None
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["10", "50"]


def test_two_displays_share_axes():
    figure, ax = plt.subplots()
    first = LabelFractionDisplay({"a": [[0.2]]}, [0.1]).plot(ax)
    second = draw({"b": Plain()}, ax=ax, fractions=[0.1], linestyle="--")
    assert first.ax_ is second.ax_ is ax
    assert second.figure_ is figure
    assert [line.get_label() for line in ax.lines] == ["a", "b"]
    assert second.lines_[0].get_linestyle() == "--"


def test_the_constructor_only_stores():
    scores = {"a": [[0.2]]}
    display = LabelFractionDisplay(scores, (0.1,))
    assert display.scores is scores
    assert display.fractions == (0.1,)
    assert display.n_labeled is None
    assert not hasattr(display, "ax_")


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("fractions", [[], [0.0, 0.5], [1.5]])
def test_fractions_out_of_range(fractions):
    with pytest.raises(ValueError, match=r"shares of the labels in \(0, 1\]"):
        draw(Plain(), fractions=fractions)


def test_other_bad_requests():
    with pytest.raises(ValueError, match="at least one estimator"):
        draw({})
    with pytest.raises(ValueError, match="n_repeats == 0, must be >= 1"):
        draw(Plain(), n_repeats=0)
    with pytest.raises(ValueError, match="no labelled rows"):
        draw(Plain(), y=np.full(32, -1))
    with pytest.raises(ValueError, match="X_future_unlabeled has 31 rows but y has 32"):
        draw(Plain(), future=FUTURE[1:])
    with pytest.raises(ValueError, match="groups has 3 rows"):
        draw(Plain(), groups=[1, 2, 3])
    assert Spy.seen == []


def test_signed_labels_leave_no_marker():
    with pytest.raises(ValueError, match="-1 is a class and cannot mark hidden"):
        draw(Plain(), y=np.where(Y == 0, -1, 1))


def test_a_pipeline_without_routing_says_what_to_do():
    model = make_pipeline(StandardScaler(), DistilledAnticipator(MLP(4)))
    with pytest.raises(ValueError, match="stepname__parameter"):
        draw(model)


def test_missing_matplotlib_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[plot\]"'):
        LabelFractionDisplay({"a": [[0.2]]}, [0.1]).plot()


def test_all_estimators_are_scored_on_the_rows_that_are_labelled_for_all():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 2)) + y[:, None]
    X_test, y_test = X[:20] + 0.1, np.where(np.arange(20) < 8, -1, y[:20])
    names = {
        "lr": LogisticRegression(),
        "d": DistilledAnticipator(MLP(2), max_epochs=1),
    }
    display = LabelFractionDisplay.from_estimator(
        names, X, y, X, X_test=X_test, y_test=y_test, fractions=(1.0,), n_repeats=1
    )
    expected = LogisticRegression().fit(X, y).score(X_test[8:], y[8:20])
    assert display.scores["lr"].item() == expected


def test_fractions_in_per_cent_are_refused():
    display = LabelFractionDisplay({"a": [[0.2], [0.5]]}, fractions=[20, 100])
    with pytest.raises(ValueError, match=r"shares of the labels in \(0, 1\]"):
        display.plot()


def test_fractions_in_any_order_are_drawn_in_theirs():
    display = LabelFractionDisplay(
        {"a": [[0.9, 0.7], [0.1, 0.3], [0.5, 0.5]]},
        [1.0, 0.1, 0.5],
        n_labeled=[9, 1, 4],
    ).plot()
    assert_allclose(display.lines_[0].get_xdata(), [10, 50, 100])
    assert_allclose(display.lines_[0].get_ydata(), [0.2, 0.5, 0.8])
    labels = {t.get_text().split("\n")[0] for t in display.ax_.get_xticklabels()}
    assert labels == {"10", "50", "100"}


@pytest.mark.filterwarnings("error")
def test_all_labels_are_one_of_the_fractions_and_no_mistake():
    """Nobody listens to a teacher there, which a fit of its own tells."""
    model = DistilledAnticipator(MLP(2), max_epochs=1, random_state=0)
    model.set_params(teacher=DummyClassifier(), unlabeled_fraction=0)
    LabelFractionDisplay.from_estimator(
        {"m": model}, X, Y, FUTURE, X_test=X, y_test=Y, fractions=[1.0], n_repeats=1
    )
    with pytest.warns(UserWarning, match="teacher and X_future_unlabeled are set, but"):
        model.fit(X, Y, FUTURE)


def test_a_table_whose_columns_are_the_fractions_is_refused():
    scores = np.array([[0.1, 0.3], [0.7, 0.9]])
    table = pd.DataFrame(scores, index=[0.1, 0.5])
    (line,) = LabelFractionDisplay({"m": table}, [0.1, 0.5]).plot().lines_
    assert_allclose(line.get_ydata(), [0.2, 0.8])
    with pytest.raises(ValueError, match=r"columns of the scores of 'm' .*transpose"):
        LabelFractionDisplay({"m": table.T}, [0.1, 0.5]).plot()


def test_a_fraction_stands_there_once():
    with pytest.raises(ValueError, match="distinct shares"):
        LabelFractionDisplay({"m": np.ones((2, 2))}, [0.5, 0.5]).plot()
