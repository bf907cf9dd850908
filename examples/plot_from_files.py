"""
From the published files to a submission
========================================

The annotations of EPIC-KITCHENS-100 as their authors publish them, and features as a
folder of arrays: read, cut, fit, and written as the challenge wants it. We make up a
small kitchen and write its files in the official layout; with the real ones, the lines
that read them are the same. (EPIC-KITCHENS-55: ``dataset="epic55"`` when writing.)
"""

import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skanticipate import LSTM, SmoothedAnticipator, datasets
from skanticipate.plotting import AnticipationCurveDisplay

N_VERBS, N_NOUNS, N_FEATURES, RATE = 10, 12, 32, 8
COLUMNS = (
    "narration_id participant_id video_id narration_timestamp start_timestamp "
    "stop_timestamp start_frame stop_frame narration verb verb_class noun noun_class "
    "all_nouns all_noun_classes"
).split()
rng = np.random.default_rng(0)
looks = rng.normal(size=(N_VERBS + N_NOUNS, N_FEATURES))
folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
(path / "features").mkdir()


# %%
# What is about to happen shows in the features, the more clearly the closer it is.
# Frames are counted at 50 a second; there are eight features a second.
def film(video, n_segments=30):
    """Save the features of a video (d, T), and return the rows of its annotations."""
    starts = np.cumsum(rng.uniform(2.6, 4.0, size=n_segments)).round(2)
    frames = rng.normal(size=(int(starts[-1] + 4) * RATE, N_FEATURES))
    rows = []
    for k, start in enumerate(starts):
        verb, noun, at = rng.integers(N_VERBS), rng.integers(N_NOUNS), int(start * RATE)
        clarity = np.linspace(0, 0.6, 20)[-at:, None]  # over 2.5 s
        frames[max(at - 20, 0) : at] += clarity * (looks[verb] + looks[N_VERBS + noun])
        a, b = (f"00:{s // 60:02.0f}:{s % 60:05.2f}" for s in (start, start + 2))
        where = [a, a, b, int(start * 50), int(start * 50) + 100]
        named = [f"verb-{verb}", verb, f"noun:{noun}", noun, [f"noun:{noun}"], [noun]]
        rows.append([f"{video}_{k}", video[:3], video, *where, "narration", *named])
    np.save(path / "features" / f"{video}.npy", frames.T.astype(np.float32))
    return rows


def write_csv(name, videos, n_columns):
    """Write the first columns of the rows of videos."""
    with open(path / f"EPIC_100_{name}.csv", "w", newline="") as file:
        rows = [COLUMNS, *(row for video in videos for row in video)]
        csv.writer(file).writerows(row[:n_columns] for row in rows)


videos = [film(f"P{n:02d}_1{n % 10:02d}") for n in range(60)]
write_csv("train", videos[:45], 15)
write_csv("validation", videos[45:55], 15)
write_csv("test_timestamps", videos[55:], 8)  # the labels are the organisers'

# %%
# From here on, what one does with the real files. The reader says which format it met;
# clips are found by timestamps, whatever the rate of each video.
features = datasets.read_npy(path / "features", out=path / "mapped", time_axis=1)
names = ("train", "validation", "test_timestamps")
tables = [datasets.read_segments(path / f"EPIC_100_{name}.csv") for name in names]
print([table.format for table in tables])
cut = {"observation": 1.0, "anticipation": 2.0, "feature_rate": RATE}
clips, held_out, wanted = (datasets.cut_clips(features, t, **cut) for t in tables)
network = LSTM(64, anticipation_steps=8, time_step=0.25, anticipation_time=1.0)
model = SmoothedAnticipator(network, max_epochs=30, random_state=0)
model.fit(clips.X_past, clips.y)

# %%
# The file for the server, checked before it is sent: scores of verbs, nouns and actions
# for each segment of the test set, one second before it starts.
verbs_and_nouns = zip(tables[0].verb, tables[0].noun, strict=True)
actions = dict(zip(tables[0].action, verbs_and_nouns, strict=True))
answers = {"action": model.predict_proba(wanted.X_past), "classes": model.classes_}
answers |= {"actions": actions, "sls_pt": 1, "sls_tl": 3, "sls_td": 3}
datasets.write_submission(path / "test.json", wanted.ids, **answers)
submission = datasets.validate_submission(path / "test.json", tables[2].id)
print("scores:", submission.verb.shape, submission.noun.shape, submission.action.shape)

# %%
# On the validation videos the curve is above chance, the dotted line, from two seconds
# before the action on. The challenge asks for the value at one second.
shown = {"LSTM": model}, held_out.X_past, held_out.y
display = AnticipationCurveDisplay.from_estimator(*shown, k=5)
display.ax_.axhline(100 * 5 / len(model.classes_), color="0.6", linestyle=":")
display.ax_.set_ylim(bottom=0)
folder.cleanup()
plt.show()
