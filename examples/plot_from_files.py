"""
From the published files to a submission
========================================

The annotations of EPIC-KITCHENS-100 and -55 as their authors publish them, features as
a folder of arrays: read, cut, fit, and written as the challenges want it. We make up a
small kitchen and write its files in the official layouts; with the real ones, the lines
that read them are the same.
"""

import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skanticipate import LSTM, SmoothedAnticipator
from skanticipate.datasets import (
    cut_clips,
    read_npy,
    read_segments,
    validate_submission,
    write_submission,
)
from skanticipate.plotting import AnticipationCurveDisplay

N_VERBS, N_NOUNS, N_FEATURES, FEATURE_RATE = 10, 12, 32, 8
rng = np.random.default_rng(0)
looks = rng.normal(size=(N_VERBS + N_NOUNS, N_FEATURES))
folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
(path / "features").mkdir()


# %%
# A video: what is about to happen shows in the features, the more clearly the closer it
# is. Its frames are counted at its own rate, 50 or 59.94 a second; the features have 8.
def stamp(seconds):
    """Seconds as hours:minutes:seconds."""
    return f"{seconds // 3600:02.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:05.2f}"


def film(video, fps, n_segments=30):
    """Save the features of a video (d, T), and return the rows of its annotations."""
    starts = np.round(np.cumsum(rng.uniform(2.6, 4.0, size=n_segments)), 2)
    verbs = rng.integers(N_VERBS, size=n_segments)
    nouns = rng.integers(N_NOUNS, size=n_segments)
    frames = rng.normal(size=(int(starts[-1] + 4) * FEATURE_RATE, N_FEATURES))
    rows = []
    for k, (start, verb, noun) in enumerate(zip(starts, verbs, nouns, strict=True)):
        at = int(start * FEATURE_RATE)
        clarity = np.linspace(0, 0.6, 20)[-at:, None]  # over 2.5 s
        frames[max(at - 20, 0) : at] += clarity * (looks[verb] + looks[N_VERBS + noun])
        stop = start + 2
        rows.append(
            {
                "uid": len(rows),
                "narration_id": f"{video}_{k}",
                "participant_id": video[:3],
                "video_id": video,
                "narration_timestamp": stamp(start),
                "start_timestamp": stamp(start),
                "stop_timestamp": stamp(stop),
                "start_frame": int(start * fps),
                "stop_frame": int(stop * fps),
                "narration": f"verb {verb}, then noun {noun}",
                "verb": f"verb-{verb}",
                "verb_class": verb,
                "noun": f"noun:{noun}",
                "noun_class": noun,
                "all_nouns": [f"noun:{noun}"],
                "all_noun_classes": [noun],
            }
        )
    np.save(path / "features" / f"{video}.npy", frames.T.astype(np.float32))
    return rows


def write_csv(name, rows, columns):
    """Write these columns of rows, as the authors do."""
    with open(path / name, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


rows = [film(f"P{n:02d}_1{n % 10:02d}", 50 if n % 2 else 59.94) for n in range(60)]
columns = list(rows[0][0])
without_labels = columns[:9]
write_csv("EPIC_100_train.csv", sum(rows[:45], []), columns[1:])
write_csv("EPIC_100_validation.csv", sum(rows[45:55], []), columns[1:])
write_csv("EPIC_100_test_timestamps.csv", sum(rows[55:], []), without_labels[1:])
uid_first = [name for name in without_labels if name[:9] != "narration"]
for number, videos in ((1, rows[55:57]), (2, rows[57:])):  # seen and unseen kitchens
    segments = [{**row, "uid": uid} for uid, row in enumerate(sum(videos, []))]
    write_csv(f"EPIC_test_s{number}_timestamps.csv", segments, uid_first)

# %%
# From here on, what one does with the real files. The reader says which format it met;
# clips are found by timestamps, whatever the rate of each video. Segments of the test
# set have no labels, and all of them become rows.
features = read_npy(path / "features", out=path / "mapped", time_axis=1)
train, validation, test = (
    read_segments(path / f"EPIC_100_{name}.csv")
    for name in ("train", "validation", "test_timestamps")
)
print(train.format, validation.format, test.format)
cut = {"observation": 1.0, "anticipation": 2.0, "feature_rate": FEATURE_RATE}
clips, held_out, wanted = (
    cut_clips(features, table, **cut) for table in (train, validation, test)
)
model = SmoothedAnticipator(
    LSTM(64, anticipation_steps=8, time_step=0.25, anticipation_time=1.0),
    max_epochs=30,
    random_state=0,
).fit(clips.X_past, clips.y)

# %%
# The curve over the anticipation time, and the file for the server.
display = AnticipationCurveDisplay.from_estimator(
    {"LSTM": model}, held_out.X_past, held_out.y, k=5
)
print(display.to_markdown())
actions = dict(zip(train.action, zip(train.verb, train.noun, strict=True), strict=True))
proba = model.predict_proba(wanted.X_past)
answers = {"action": proba, "classes": model.classes_, "actions": actions}
levels = {"sls_pt": 1, "sls_tl": 3, "sls_td": 3}
write_submission(path / "test.json", wanted.ids, **answers, **levels)
submission = validate_submission(path / "test.json", test.id)
print("EPIC-KITCHENS-100:", submission.verb.shape, submission.action.shape)

# %%
# EPIC-KITCHENS-55 takes two such files of another version; its segments have numbers,
# and its verbs and nouns ids of their own, which we do not make up anew.
for number, name in ((1, "seen.json"), (2, "unseen.json")):
    table = read_segments(path / f"EPIC_test_s{number}_timestamps.csv")
    wanted = cut_clips(features, table, **cut)
    answers["action"] = model.predict_proba(wanted.X_past)
    write_submission(path / name, wanted.ids, **answers, dataset="epic55")
    submission = validate_submission(path / name, table.id, dataset="epic55")
    print(f"EPIC-KITCHENS-55, {name}:", submission.verb.shape, submission.action.shape)

display.ax_.axhline(100 * 5 / len(model.classes_), color="0.6", linestyle=":")
display.ax_.set_title("From official files; dotted: chance")
picture = Path(__file__).with_suffix(".png")
display.figure_.savefig(picture, dpi=100)
plt.close(display.figure_)
folder.cleanup()
print(f"picture saved to {picture}")
