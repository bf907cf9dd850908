"""
Your own arrays: from a folder of features to a saved model
===========================================================

All that is needed are three arrays: features of what was seen, labels of what came
next, and the video of each clip. We read them from files, as you would yours, fit,
look at the training, save the model, and let another process answer from the file.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import LSTM, PerFrame, SmoothedAnticipator, save
from skanticipate.datasets import make_kitchen
from skanticipate.plotting import HistoryDisplay, TopPredictionsDisplay

# %%
# Files, as another program may have written them: clips of 6 steps of 24 features, and
# a name for each action. Only this block would be yours: a folder of your own.
folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
kitchen = make_kitchen(60, n_steps=6, random_state=0)
names = {label: " ".join(pair) for label, pair in kitchen.actions.items()}
np.save(path / "clips.npy", 100 * kitchen.X_past)  # in some unit of its own
np.save(path / "labels.npy", np.array([names[label] for label in kitchen.y]))
np.save(path / "videos.npy", kitchen.groups)

# %%
# Read them. The shape of the clips decides which network is meant: (n, d) is one vector
# a clip, (n, T, d) a sequence of T steps. Labels may be numbers or texts. A memory map
# is read a batch at a time, so that it may be larger than memory.
X = np.load(path / "clips.npy", mmap_mode="r")
y = np.load(path / "labels.npy")
videos = np.load(path / "videos.npy")
print(f"clips {X.shape}, labels {y.shape}, {len(set(videos))} videos: {y[:3]} ...")

# %%
# Divide by videos, not by clips: neighbours in a video look alike, and a model that has
# seen the one knows the other.
outer = GroupShuffleSplit(test_size=0.3, random_state=0)
train, test = next(outer.split(X, y, videos))

# %%
# Features of any scale are fine once they are standardised; ``PerFrame`` lets a scaler
# of scikit-learn see single steps. The network stops when held-out videos, 20 per cent
# of the training ones, get no better.
model = make_pipeline(
    PerFrame(StandardScaler()),
    SmoothedAnticipator(
        LSTM(32, dropout=0.3),
        max_epochs=60,
        early_stopping=True,
        validation_fraction=0.2,
        random_state=0,
    ),
)
model.fit(X[train], y[train], smoothedanticipator__groups=videos[train])
print(f"{model[-1].n_iter_} epochs, accuracy {model.score(X[test], y[test]):.2f}")
print(f"the most frequent action: {max(np.mean(y[test] == c) for c in set(y)):.2f}")

# %%
# How training went. The loss on training clips falls for ever, that on held-out videos
# turns up again: from there on the network learns by heart. The weights that are kept
# are those of the lowest point.
_ = HistoryDisplay.from_estimator(model)

# %%
# Two clips of the test videos. Single answers are often wrong, the first few are mostly
# sensible: the true action is hatched.
shown = {"LSTM": model}
_ = TopPredictionsDisplay.from_estimator(shown, X[test], y[test], clip=[0, 5], k=6)

# %%
# Save, and load elsewhere. The file holds numbers and names only: nothing in it is run
# when it is read.
save(model, path / "model.safetensors")
code = (
    "import sys, numpy, skanticipate\n"
    "model = skanticipate.load(sys.argv[1])\n"
    "print('another process says:', model.predict(numpy.load(sys.argv[2])[:1])[0])\n"
)
files = [str(path / name) for name in ("model.safetensors", "clips.npy")]
told = subprocess.run([sys.executable, "-c", code, *files], capture_output=True)
print(told.stdout.decode(), end="")
print("this one says:       ", model.predict(X[:1])[0])
folder.cleanup()
