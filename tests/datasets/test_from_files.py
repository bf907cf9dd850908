"""From official files to a submission that the challenge would take."""

import numpy as np
import pytest

from skanticipate import LSTM, SmoothedAnticipator
from skanticipate.datasets import (
    FeatureTable,
    cut_clips,
    read_segments,
    validate_submission,
    write_submission,
)

CUT = {"observation": 0.5, "anticipation": 0.5, "step": 0.25, "feature_rate": 4}


def stamp(seconds):
    return f"00:{seconds // 60:02d}:{seconds % 60:02d}.00"


def csv(path, columns, *, fps, key, labels):
    """Write 60 segments, 3 s apart, of each of two videos.   -> path."""
    lines = [f"{key},video_id,start_timestamp,stop_timestamp,start_frame,stop_frame"]
    lines[0] += ",verb,verb_class,noun,noun_class" * labels
    for number in range(120):
        video, start = f"P50_{number // 60}", 3 * (number % 60)
        stop = start + 2
        cells = [columns(video, number), video, stamp(start), stamp(stop)]
        cells += [int(start * fps), int(stop * fps)]
        if labels:
            cells += ["v", number % 12, "n", number // 12]
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("dataset", ["epic100", "epic55"])
def test_official_files_become_a_submission(tmp_path, dataset):
    key = {"epic100": "narration_id", "epic55": "uid"}[dataset]
    numbered = dataset == "epic55"

    def name(video, number):
        return number if numbered else f"{video}_{number}"

    rng = np.random.default_rng(0)
    features = FeatureTable.from_arrays(
        {f"P50_{video}": rng.normal(size=(3, 800)) for video in range(2)}, time_axis=1
    )
    train = csv(tmp_path / "train.csv", name, fps=50, key=key, labels=True)
    test = csv(tmp_path / "test.csv", name, fps=59.94, key=key, labels=False)
    train, test = read_segments(train), read_segments(test)
    clips, wanted = (cut_clips(features, table, **CUT) for table in (train, test))
    assert len(clips.y) == 118  # two start with their video
    model = SmoothedAnticipator(LSTM(4), max_epochs=1, random_state=0)
    proba = model.fit(clips.X_past, clips.y).predict_proba(wanted.X_past)
    write_submission(
        tmp_path / "test.json",
        wanted.ids,
        action=proba,
        classes=model.classes_,
        actions=dict(
            zip(train.action, zip(train.verb, train.noun, strict=True), strict=True)
        ),
        dataset=dataset,
        **({} if numbered else {"sls_pt": 1, "sls_tl": 3, "sls_td": 3}),
    )
    submission = validate_submission(tmp_path / "test.json", test.id, dataset=dataset)
    assert submission.ids == [str(segment) for segment in test.id]
    assert len(submission.ids) == 120
    best = [tuple(map(int, c.split(","))) for c in model.classes_[proba.argmax(axis=1)]]
    assert [tuple(pair) for pair in submission.pairs[:, 0].tolist()] == best
