import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    FeatureMapNet,
    NetworkSpec,
    Output,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
)
from skanticipate.plotting import AttentionMapDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

Y = np.array([0, 1, 0, 1])


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


class Echo(nn.Module):
    """A network whose map is its input, so that lengths are known by hand."""

    def __init__(self, n_classes):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(n_classes))

    def forward(self, clips):
        maps = clips.flatten(1, -2)
        real = ~maps[..., 0].isnan()
        logits = maps.nan_to_num().mean((1, 2))[:, None, None] * self.scale
        return Output(logits, maps.nan_to_num(), mask=real)


class EchoSpec(NetworkSpec):
    fixed_shape = False

    def build(self, input_shape, n_classes, *, generator):
        return Echo(n_classes)

    def map_shape(self, clip_shape):
        return tuple(clip_shape[:-1])


class GridlessSpec(EchoSpec):
    def map_shape(self, clip_shape):
        return None


def clips(*grid, seed=0):
    return np.random.default_rng(seed).normal(size=(4, *grid, 2)).astype("float32")


def fitted(past, future=None, spec=None, teacher=None):
    network = EchoSpec() if spec is None else spec
    if future is None:
        model = SmoothedAnticipator(network, max_epochs=1, random_state=0)
        return model.fit(past, Y)
    model = DistilledAnticipator(
        network, teacher=teacher, teacher_weight=1.0, max_epochs=1, random_state=0
    ).set_params(feature_weight=0)
    return model.fit(past, Y, future)


def lengths(clip):
    """Square root of the sum of squares, position by position."""
    out = np.empty(clip.shape[:-1])
    for position in np.ndindex(out.shape):
        out[position] = sum(float(v) ** 2 for v in clip[position]) ** 0.5
    return out


def titles(display):
    return [ax.get_title() for ax in display.axes_]


# -------------------------------------------------------------------- what is shown


def test_lengths_by_hand():
    past = np.zeros((4, 1, 3, 2), dtype="float32")
    past[2, 0] = [[3, 4], [0, 0], [5, 12]]
    display = AttentionMapDisplay.from_estimator(fitted(past), past, clip=2)
    assert_array_equal(display.student, [[5, 0, 13]])
    assert_array_equal(display.ims_[0].get_array(), [[5, 0, 13]])


@pytest.mark.parametrize("grid", [(3,), (3, 4), (2, 3, 4)])
def test_each_panel_shows_the_map_of_its_network(grid):
    past, future = clips(*grid), clips(*grid, seed=1)
    model, plain = fitted(past, future), fitted(past)
    display = AttentionMapDisplay.from_estimator(
        model, past, future, plain=plain, clip=3
    )
    assert_allclose(display.student, lengths(past[3]), rtol=1e-6)
    assert_allclose(display.plain, lengths(past[3]), rtol=1e-6)
    assert_allclose(display.teacher, lengths(future[3]), rtol=1e-6)
    assert titles(display) == [
        "past, student",
        "past, plain student",
        "future, teacher",
    ]
    assert display.figure_ is display.axes_[0].figure
    display.figure_.canvas.draw()


def test_panels_that_are_not_asked_for_are_left_out():
    past, future = clips(3, 4), clips(3, 4, seed=1)
    model = fitted(past, future)
    display = AttentionMapDisplay.from_estimator(model, past)
    assert titles(display) == ["past, student"]
    assert display.plain is None and display.teacher is None
    display = AttentionMapDisplay.from_estimator(model, past, future)
    assert titles(display) == ["past, student", "future, teacher"]


def test_figure_3_in_one_call():
    """Students and teacher, each of the same clips, each with its own map."""
    past, future = clips(3, 4), clips(3, 4, seed=1)
    weak = fitted(past, future, spec=FeatureMapNet(8, n_blocks=0))
    direct = fitted(past, future, spec=FeatureMapNet(4, n_blocks=0))
    display = AttentionMapDisplay.from_estimator(
        {"plain": fitted(past), "direct": direct, "weak": weak},
        *(past, future),
        clip=[3, 1],
        teacher_past=True,
    )
    heads = ["past, plain", "past, direct", "past, weak", "past, teacher"]
    assert titles(display) == [*heads, "future, teacher", *(5 * [""])]
    assert display.clips == [3, 1]
    teacher = direct.teacher_  # the first that has a map
    asked = (direct, past), (weak, past), (teacher, past), (teacher, future)
    maps = [model.feature_map(seen).reshape(4, 3, 4, -1) for model, seen in asked]
    columns = [past, *maps]
    for r, clip in enumerate([3, 1]):
        for k, maps in enumerate(columns):
            shown = display.ims_[5 * r + k].get_array()
            assert_allclose(shown, lengths(maps[clip]), rtol=1e-5)
    assert [ax.get_ylabel() for ax in display.axes_[::5]] == ["clip 3", "clip 1"]
    grid = [ax.get_subplotspec() for ax in display.axes_]
    places = [(spec.rowspan.start, spec.colspan.start) for spec in grid]
    assert places == list(np.ndindex(2, 5))
    display.figure_.canvas.draw()


def test_students_share_their_colours_and_the_teacher_has_its_own_in_all_rows():
    display = AttentionMapDisplay(
        {"a": [[[1.0, 2.0]], [[3.0, 9.0]]], "b": [[[0.5, 2.0]], [[3.0, 4.0]]]},
        teacher=[[[5.0, 6.0]], [[7.0, 8.0]]],
        teacher_past=[[[4.0, 6.0]], [[7.0, 7.0]]],
        clips=["x", "y"],
    ).plot()
    assert [im.get_clim() for im in display.ims_] == 2 * [
        *((0.5, 9), (0.5, 9), (4, 8), (4, 8))
    ]
    assert len(display.figure_.axes) == 8 + 2  # two colour bars
    assert display.axes_[4].get_ylabel() == "clip y"


def test_a_list_of_one_clip_is_a_row_of_its_own():
    past = clips(5)
    display = AttentionMapDisplay.from_estimator({"a": fitted(past)}, past, clip=[2])
    assert display.student["a"].shape == (1, 5)
    assert titles(display) == ["past, a"]
    assert display.axes_[0].get_xlabel() == "step"


def test_steps_are_named_below_the_last_row_and_ten_of_them_at_most():
    display = AttentionMapDisplay(np.ones((2, 24)), clips=[0, 1]).plot()
    named = [[text.get_text() for text in ax.get_xticklabels()] for ax in display.axes_]
    assert named == [[], ["1", "4", "7", "10", "13", "16", "19", "22"]]
    assert [ax.get_xlabel() for ax in display.axes_] == ["", "step"]


def test_the_teacher_may_be_shown_the_past_only():
    past, future = clips(3, 4), clips(3, 4, seed=1)
    display = AttentionMapDisplay.from_estimator(
        fitted(past, future), past, clip=1, teacher_past=True
    )
    assert titles(display) == ["past, student", "past, teacher"]
    assert_allclose(display.teacher_past, lengths(past[1]), rtol=1e-6)
    assert display.teacher is None


@pytest.mark.parametrize("grid", [(4, 4), (12,), (3, 4, 4)])
def test_panels_and_names_do_not_touch(grid):
    """Neither those of several clips, nor names of more than one line."""
    maps = np.random.default_rng(0).random((3, *grid))
    students = {"direct alignment of all positions": maps, "plain": maps}
    display = AttentionMapDisplay(
        students, teacher=maps, teacher_past=maps, clips=[7, 1400, 9]
    ).plot()
    figure = display.figure_
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    for k, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        for other in boxes[:k]:
            apart = box.x0 >= other.x1 or other.x0 >= box.x1
            assert apart or box.y0 >= other.y1 or other.y0 >= box.y1


def test_a_real_student_shows_its_feature_map():
    past, future = clips(4, 4), clips(4, 4, seed=1)
    model = fitted(past, future, spec=FeatureMapNet(8, n_blocks=1, patch_size=2))
    display = AttentionMapDisplay.from_estimator(model, past, future, clip=1)
    expected = lengths(model.feature_map(past[1:2])[0]).reshape(2, 2)
    assert_allclose(display.student, expected, rtol=1e-6)
    expected = lengths(model.teacher_.feature_map(future[1:2])[0]).reshape(2, 2)
    assert_allclose(display.teacher, expected, rtol=1e-6)


def test_a_map_over_time_is_a_strip_and_padding_is_missing():
    past = clips(4)
    past[0, 0] = np.nan
    display = AttentionMapDisplay.from_estimator(fitted(past), past)
    assert_array_equal(np.isnan(display.student), [True, False, False, False])
    shown = display.ims_[0].get_array()
    assert shown.shape == (1, 4)
    assert_array_equal(np.ma.getmaskarray(shown), [[True, False, False, False]])
    low, high = display.ims_[0].get_clim()
    real = lengths(past[0, 1:])
    assert_allclose((low, high), (real.min(), real.max()), rtol=1e-6)
    assert matplotlib.colors.to_hex(display.ims_[0].get_cmap().get_bad()) == "#d9d9d9"
    assert [text.get_text() for text in display.axes_[0].get_xticklabels()] == [
        *("1", "2", "3", "4")
    ]


def test_a_map_over_time_and_space_is_one_image_a_step():
    grid = np.arange(24.0).reshape(2, 3, 4)
    display = AttentionMapDisplay(grid).plot()
    shown = display.ims_[0].get_array()
    assert shown.shape == (3, 8)
    assert_array_equal(shown[:, :4], grid[0])
    assert_array_equal(shown[:, 4:], grid[1])
    (line,) = display.axes_[0].lines
    assert_array_equal(line.get_xdata(), [3.5, 3.5])
    assert_array_equal(display.axes_[0].get_xticks(), [1.5, 5.5])


def test_a_network_that_does_not_say_its_grid_has_a_row_of_positions():
    past = clips(3, 4)
    model = fitted(past, spec=GridlessSpec())
    display = AttentionMapDisplay.from_estimator(model, past)
    assert_allclose(display.student, lengths(past[0]).ravel(), rtol=1e-6)


def test_past_panels_share_their_colours_and_the_future_has_its_own():
    display = AttentionMapDisplay(
        np.array([[1.0, 2.0]]), np.array([[0.5, 9.0]]), np.array([[3.0, 4.0]])
    ).plot()
    assert [im.get_clim() for im in display.ims_] == [(0.5, 9), (0.5, 9), (3, 4)]
    assert len(display.figure_.axes) == 3 + 2  # two colour bars


def test_the_teacher_may_be_a_pipeline_and_see_other_clips():
    past, future = clips(3), clips(5, seed=1) * 3 + 1
    teacher = make_pipeline(
        PerFrame(StandardScaler()),
        FunctionTransformer(first_two_steps),
        RecognitionTeacher(EchoSpec(), max_epochs=1, random_state=0),
    )
    model = fitted(past, future, teacher=teacher)
    display = AttentionMapDisplay.from_estimator(model, past, future)
    frames = future.reshape(-1, 2)
    scaled = (future[0, :2] - frames.mean(0)) / frames.std(0)
    assert_allclose(display.teacher, lengths(scaled), rtol=1e-5)


def first_two_steps(maps):
    return maps[:, :2]


def test_rows_of_a_memory_map_are_read(tmp_path):
    past = clips(3)
    model = fitted(past)
    np.save(tmp_path / "past.npy", past)
    view = RowView(np.load(tmp_path / "past.npy", mmap_mode="r"))
    display = AttentionMapDisplay.from_estimator(model, view, clip=2)
    assert_allclose(display.student, lengths(past[2]), rtol=1e-6)


def test_a_recurrent_student_has_a_strip():
    past = clips(5)
    display = AttentionMapDisplay.from_estimator(fitted(past, spec=LSTM(4)), past)
    assert display.student.shape == (5,)


# ------------------------------------------------------------------- where it is drawn


def test_it_draws_into_the_given_axes():
    figure, axes = plt.subplots(2, 2)
    display = AttentionMapDisplay(np.eye(2), teacher=np.eye(2))
    assert display.plot(axes[0], cmap="magma", colorbar=False) is display
    assert display.axes_ == list(axes[0])
    assert display.figure_ is figure
    assert len(figure.axes) == 4
    assert display.ims_[0].get_cmap().name == "magma"


def test_wide_panels_stand_below_each_other():
    display = AttentionMapDisplay(np.arange(8.0), teacher=np.arange(8.0)).plot()
    assert [ax.get_subplotspec().rowspan.start for ax in display.axes_] == [0, 1]
    display = AttentionMapDisplay(np.eye(2), teacher=np.eye(2)).plot()
    assert [ax.get_subplotspec().colspan.start for ax in display.axes_] == [0, 1]


def test_the_constructor_only_stores():
    display = AttentionMapDisplay([1.0, 2.0])
    assert display.student == [1.0, 2.0]
    assert display.plain is None and display.teacher is None
    assert display.teacher_past is None and display.clips is None
    assert not hasattr(display, "axes_")
    assert_array_equal(display.plot().ims_[0].get_array(), [[1, 2]])


# ------------------------------------------------------------------------------ errors


def test_an_estimator_without_a_map_is_refused():
    past = clips(2)
    model = make_pipeline(PerFrame(StandardScaler()), fitted(past))
    with pytest.raises(TypeError, match="Pipeline has no feature_map.*last step"):
        AttentionMapDisplay.from_estimator(model, past)
    with pytest.raises(TypeError, match="DummyClassifier has no feature_map"):
        AttentionMapDisplay.from_estimator(
            fitted(past), past, plain=DummyClassifier().fit(past, Y)
        )


def test_an_unfitted_estimator_says_so():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        AttentionMapDisplay.from_estimator(SmoothedAnticipator(), clips(2))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        AttentionMapDisplay.from_estimator(DistilledAnticipator(), clips(2), clips(2))


def test_a_student_without_teacher_has_no_map_of_the_future():
    past = clips(2)
    with pytest.raises(ValueError, match="fitted without a teacher.*leave X_future"):
        AttentionMapDisplay.from_estimator(fitted(past), past, past)
    model = DistilledAnticipator(EchoSpec(), max_epochs=1, random_state=0)
    model.fit(past, Y)
    with pytest.raises(ValueError, match="fitted without a teacher"):
        AttentionMapDisplay.from_estimator(model, past, past)


def test_a_teacher_without_a_map_is_named():
    past = clips(2)[:, 0]  # (n, d)
    model = fitted(past, past, spec=MLP(4), teacher=LogisticRegression())
    with pytest.raises(ValueError, match="LogisticRegression, has no feature_map"):
        AttentionMapDisplay.from_estimator(model, past, past)


def test_a_clip_without_future_is_named():
    past, future = clips(2), clips(2, seed=1)
    future[1] = np.nan
    model = fitted(past, future)
    with pytest.raises(ValueError, match="Clip 1 has no future"):
        AttentionMapDisplay.from_estimator(model, past, future, clip=1)


def test_every_clip_must_have_a_future():
    past, future = clips(2), clips(2, seed=1)
    future[1] = np.nan
    model = fitted(past, future)
    with pytest.raises(ValueError, match="Clip 1 has no future"):
        AttentionMapDisplay.from_estimator(model, past, future, clip=[0, 1])


@pytest.mark.parametrize(("several", "clip"), [(True, []), (False, 0)])
def test_nothing_to_show(several, clip):
    past = clips(2)
    students = {"a": fitted(past)} if several else {}
    with pytest.raises(ValueError, match="at least one student and one clip"):
        AttentionMapDisplay.from_estimator(students, past, clip=clip)


def test_maps_must_be_as_many_as_clips():
    display = AttentionMapDisplay({"a": np.ones((3, 2, 2))}, clips=[0, 1])
    with pytest.raises(ValueError, match="maps of 'past, a' are 3, but clips names 2"):
        display.plot()


def test_a_teacher_that_sees_the_past_must_be_there():
    past = clips(2)
    with pytest.raises(ValueError, match="without a teacher.*teacher_past out"):
        AttentionMapDisplay.from_estimator(
            {"a": fitted(past), "b": fitted(past)}, past, teacher_past=True
        )


def test_axes_must_be_as_many_as_panels():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="each of the 2 panels, got 1"):
        AttentionMapDisplay(np.eye(2), teacher=np.eye(2)).plot(ax)


def test_a_grid_of_four_axes_is_refused():
    with pytest.raises(ValueError, match=r"one to three axes.*\(1, 1, 2, 2\)"):
        AttentionMapDisplay(np.ones((1, 1, 2, 2))).plot()


def test_missing_matplotlib_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[plot\]"'):
        AttentionMapDisplay(np.eye(2)).plot()


def test_futures_are_those_of_all_past_clips():
    past, future = clips(3), clips(3, seed=1)
    model = fitted(past, future)
    with pytest.raises(ValueError, match="X_future has 3 rows but X_past has 4"):
        AttentionMapDisplay.from_estimator(model, past, future[1:], clip=1)
    last = AttentionMapDisplay.from_estimator(model, past, future, clip=-1)
    assert_allclose(last.teacher, lengths(future[3]), rtol=1e-6)


@pytest.mark.parametrize("clip", [4, -5, 1.0, "a"])
def test_a_clip_is_the_number_of_a_row(clip):
    past = clips(3)
    with pytest.raises((TypeError, ValueError), match="clip"):
        AttentionMapDisplay.from_estimator(fitted(past), past, clip=clip)
