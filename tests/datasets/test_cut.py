import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

import h5py
from feature_files import numbered, write_lmdb

from skanticipate import LSTM, DistilledAnticipator, PerFrame, RowView
from skanticipate.data.validation import check_clips
from skanticipate.datasets import cut_clips, load_epic, read_hdf5, read_segments

VIDEOS = {"a": numbered(400, 0), "b": numbered(250, 1), "c": numbered(20, 2)}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    with h5py.File(folder / "rgb.h5", "w") as file:
        for name, data in VIDEOS.items():
            file[name] = data
    return read_hdf5(folder / "rgb.h5", out=folder / "rgb")


def table(*rows):
    columns = zip(*rows, strict=True)
    names = ("video", "start_frame", "stop_frame", "action")
    return dict(zip(names, map(list, columns), strict=True))


def naive_frames(start, n_steps, step, fps):
    """Frames as the original samples them, one by one; None if all lie before 1."""
    frames = [math.floor((start / fps - j * step) * fps) for j in range(n_steps, 0, -1)]
    if max(frames) < 1:
        return None
    smallest = min(frame for frame in frames if frame >= 1)
    return [frame if frame >= 1 else smallest for frame in frames]


# ------------------------------------------------------------------------ which frames


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 250), st.integers(0, 20)),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 6),
    st.integers(1, 8),
    st.sampled_from([0.25, 0.2, 0.1, 1.0]),
    st.sampled_from([30, 25, 59.94]),
)
def test_clips_are_those_of_a_naive_loop(features, rows, n_before, n_stages, step, fps):
    segments = table(*[(v, s, s + n, k) for k, (v, s, n) in enumerate(rows)])
    options = {
        "observation": n_before * step,
        "anticipation": n_stages * step,
        "step": step,
        "fps": fps,
    }
    frames = [naive_frames(s, n_before + n_stages, step, fps) for _, s, _ in rows]
    kept = [clip is not None for clip in frames]
    if not any(kept):
        with pytest.raises(ValueError, match="nothing to see"):
            cut_clips(features, segments, **options)
        return
    data = cut_clips(features, segments, **options)
    expected = [
        [VIDEOS[v][frame - 1] for frame in clip]
        for (v, _, _), clip in zip(rows, frames, strict=True)
        if clip is not None
    ]
    assert_array_equal(np.asarray(data.X_past), np.array(expected))
    assert data.kept.tolist() == kept
    assert data.n_discarded == kept.count(False)
    assert data.y.tolist() == [k for k, keep in enumerate(kept) if keep]
    videos = [v for v, _, _ in rows]
    assert data.groups.tolist() == np.array(videos)[kept].tolist()


def test_defaults_are_the_14_steps_of_rulstm(features):
    data = cut_clips(features, table(("a", 120, 150, 7)))
    # floor(120 - 7.5 j), j = 14, ..., 1
    expected = [15, 22, 30, 37, 45, 52, 60, 67, 75, 82, 90, 97, 105, 112]
    assert np.asarray(data.X_past)[0, :, 1].tolist() == expected
    assert data.X_past.shape == (1, 14, 3)
    assert "X_future" not in data


def test_no_frame_lies_after_the_time_of_its_step(features):
    starts = np.arange(120, 400)
    data = cut_clips(features, table(*[("a", s, s + 9, 0) for s in starts]))
    seconds_before = 0.25 * np.arange(14, 0, -1)
    latest = starts[:, None] - seconds_before * 30
    frames = np.asarray(data.X_past)[:, :, 1]
    assert (frames <= latest + 1e-9).all()
    assert (frames > latest - 1 - 1e-9).all()


def test_padding_repeats_the_first_step_or_is_nan(features):
    segments = table(("b", 24, 30, 0), ("b", 60, 70, 1))
    options = {"observation": 0.5, "anticipation": 1.0}  # floor(24 - 7.5 j)
    frames = np.asarray(cut_clips(features, segments, **options).X_past)[:, :, 1]
    assert frames[0].tolist() == [1, 1, 1, 1, 9, 16]
    assert frames[1].tolist() == [15, 22, 30, 37, 45, 52]
    past = np.asarray(cut_clips(features, segments, **options, padding="nan").X_past)
    assert np.isnan(past[0, :3]).all()
    assert_array_equal(past[0, 3:], VIDEOS["b"][[0, 8, 15]])
    assert_array_equal(past[1, :, 1], frames[1])


def test_video_shorter_than_the_observation_is_padded(features):
    # 20 frames, and 3.5 s are 105. The original rounds 3 to 2.999999999999999, too.
    data = cut_clips(features, table(("c", 18, 20, 0)))
    assert np.asarray(data.X_past)[0, :, 1].tolist() == [2] * 13 + [10]


def test_segment_after_the_end_of_its_video_names_the_frame(features):
    segments = table(("a", 120, 150, 7), ("a", 3, 9, 7), ("c", 40, 60, 7))
    message = r"rgb has no c, frame 24, which row 2 asks for \(2 .* from 1 to 20\)"
    with pytest.raises(ValueError, match=message):
        cut_clips(features, segments)


def test_discarded_segments_are_reported_and_need_no_features(features):
    segments = table(
        ("nowhere", 8, 90, "x"), ("a", 9, 90, "take pan"), ("b", 7, 90, "x")
    )
    data = cut_clips(features, segments)
    assert data.n_discarded == 2
    assert data.kept.tolist() == [False, True, False]
    assert data.y.tolist() == ["take pan"]
    assert data.groups.tolist() == ["a"]


def test_overlapping_segments_each_have_their_clip(features):
    segments = table(("a", 100, 200, 1), ("a", 110, 150, 2), ("a", 100, 200, 3))
    past = np.asarray(cut_clips(features, segments).X_past)
    assert_array_equal(past[0], past[2])
    assert past[1, -1, 1] == past[0, -1, 1] + 10


def test_future_is_spread_over_the_segment(features):
    segments = table(("a", 100, 160, 1), ("a", 3, 9, 2), ("b", 200, 203, 3))
    data = cut_clips(features, segments, future_steps=4)
    future = np.asarray(data.X_future)
    assert future.shape == (2, 4, 3)
    assert future[:, :, 1].tolist() == [[115, 130, 145, 160], [200, 201, 202, 203]]


def test_future_without_frames_names_the_remedy(features):
    segments = table(("a", 100, 160, 1), ("b", 240, 260, 3))
    message = r"no b, frame 260, which row 1 asks.*frames before actions alone"
    with pytest.raises(ValueError, match=message):
        cut_clips(features, segments, future_steps=2)


def test_frame_that_is_not_there_names_the_key(tmp_path):
    whole = dict(enumerate(numbered(200), start=1))
    del whole[52]
    write_lmdb(tmp_path / "rgb", {"P01_01": whole})
    (tmp_path / "training.csv").write_text("7, P01_01, 120, 150, 0, 0, 3\n")
    message = r"rgb_features has no P01_01_frame_0000000052\.jpg, which row 0 asks"
    with pytest.raises(ValueError, match=message):
        load_epic(tmp_path)


# -------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anticipation": 1.1}, r"anticipation=1.1 s is no multiple of step=0.25 s: "),
        ({"observation": 0.3}, "observation=0.3 s is no multiple.*nearest one is 0.25"),
        ({"step": 0.4}, "observation=1.5 s is no multiple of step=0.4"),
        ({"fps": 0}, "'fps' parameter"),
        ({"step": 0}, "'step' parameter"),
        ({"anticipation": 0}, "'anticipation' parameter"),
        ({"observation": -0.25}, "'observation' parameter"),
        ({"padding": "zero"}, "'padding' parameter"),
        ({"future_steps": 0}, "'future_steps' parameter"),
    ],
)
def test_bad_options(features, options, message):
    with pytest.raises(ValueError, match=message):
        cut_clips(features, table(("a", 120, 150, 7)), **options)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", 120, 110, 7), "row 1 of segments stops at frame 110 before it starts"),
        (("z", 120, 150, 7), "rgb has no video 'z', which row 1 asks for"),
        (("a", np.nan, 150, 7), "start_frame is nan in row 1"),
    ],
)
def test_bad_segments_name_the_row(features, row, message):
    with pytest.raises(ValueError, match=message):
        cut_clips(features, table(("a", 120, 150, 7), row))


def test_nothing_left_is_an_error(features):
    with pytest.raises(ValueError, match="All 1 segments start less than one step"):
        cut_clips(features, table(("a", 8, 150, 7)))


def test_features_must_be_opened(features):
    with pytest.raises(ValueError, match="FeatureTable"):
        cut_clips(VIDEOS, table(("a", 120, 150, 7)))


# -------------------------------------------------------------------------- laziness


def test_clips_are_row_numbers_only(features):
    segments = table(*[("a", s, s + 9, 0) for s in range(120, 390)])
    data = cut_clips(features, segments, future_steps=1)
    assert isinstance(data.X_past, RowView)
    assert data.X_past.base is features.array
    assert data.X_future.base is features.array
    again = pickle.loads(pickle.dumps(data.X_past))
    assert isinstance(again.base, np.memmap)
    assert_array_equal(again.take([5]), data.X_past.take([5]))


def test_padded_clips_pass_the_door(features):
    segments = table(("a", 30, 50, 0), ("a", 200, 250, 1))
    data = cut_clips(features, segments, padding="nan")
    rows = check_clips(
        data.X_past, name="X", estimator=DistilledAnticipator(), reset=True
    )
    assert rows is data.X_past


@pytest.mark.slow
def test_search_in_processes_gives_what_arrays_give(features):
    starts = np.arange(40, 240, 8)
    rows = [(v, s, s + 9, int(s) % 3) for v in "ab" for s in starts]
    data = cut_clips(features, table(*rows), padding="nan", future_steps=8)
    scores = []
    for lazy in (True, False):
        past, future = (
            X if lazy else np.asarray(X) for X in (data.X_past, data.X_future)
        )
        model = DistilledAnticipator(
            LSTM(4, anticipation_steps=8), max_epochs=2, random_state=0
        )
        search = GridSearchCV(
            make_pipeline(PerFrame(StandardScaler()), model),
            {"distilledanticipator__teacher_weight": [0.0, 0.5]},
            cv=GroupKFold(2),
            n_jobs=2 if lazy else None,
            scoring="neg_log_loss",
        )
        search.fit(
            past,
            data.y,
            groups=data.groups,
            distilledanticipator__X_future_unlabeled=future,
        )
        scores.append(search.cv_results_["mean_test_score"])
    assert_array_equal(*scores)


@pytest.mark.data
@pytest.mark.parametrize(("split", "n_discarded"), [("train", 21), ("validation", 7)])
def test_as_many_are_discarded_as_by_rulstm(tmp_path, split, n_discarded):
    folder = Path(os.environ["SKANTICIPATE_TEST_DATA"])
    segments = read_segments(folder / "epic55" / f"{split}.csv")
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        for video in np.unique(segments.video):
            n_frames = segments.stop_frame[segments.video == video].max()
            file[video] = np.arange(1, n_frames + 1, dtype=np.float32)[:, None]
    features = read_hdf5(tmp_path / "frames.h5", out=tmp_path / "frames")
    data = cut_clips(features, segments)
    assert data.n_discarded == n_discarded
    expected = [naive_frames(s, 14, 0.25, 30) for s in segments.start_frame[data.kept]]
    assert_array_equal(np.asarray(data.X_past)[:, :, 0], expected)
