"""
What may come next, while a video goes on
=========================================

A network reads a video step by step, and after each step says what may begin next. The
picture shows the ten actions that it holds most probable, as they rise and fall.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skanticipate
from skanticipate import RULSTM, PerFrame, SmoothedAnticipator
from skanticipate.datasets import make_kitchen

# %%
# Clips of 14 steps of a quarter of a second. What stands before the anticipator sees
# one frame at a time, so that a stream can go through it.
kitchen = make_kitchen(60, n_steps=14, noise=2.0, random_state=0)
train, test = kitchen.groups < 55, kitchen.groups >= 55
model = make_pipeline(
    PerFrame(StandardScaler()),
    SmoothedAnticipator(
        RULSTM(32, dropout=0.3, anticipation_steps=4),
        max_epochs=15,
        random_state=0,
    ),
).fit(kitchen.X_past[train], kitchen.y[train])

# %%
# Three clips of a video that was not seen in training, one after the other. The stream
# is told when the next begins: the training clips began anew as well.
clips, actions = kitchen.X_past[test][:3], kitchen.y[test][:3]
stream = skanticipate.stream(model)
said = []
for clip in clips:
    stream.reset()
    for step in clip:  # (d,), as a camera and a feature network would give it
        said.append(stream.update(step))
said = np.array(said)  # (steps, C)

# %%
# The answer after the last step of a clip is that of `predict_proba` for all of it.
print(abs(said[13::14] - model.predict_proba(clips)).max())

# %%
# The ten actions that were most probable at any time, and what did begin, where it is
# among them.
top = np.argsort(said.max(axis=0))[-10:]
codes = np.searchsorted(stream.classes_, actions)
seconds = 0.25 * np.arange(len(said) + 1)
fig, axes = plt.subplots(figsize=(8, 4), layout="constrained")
mesh = axes.pcolormesh(seconds, np.arange(11), said[:, top].T, cmap="Blues", vmin=0)
fig.colorbar(mesh, label="Probability")
axes.set_yticks(np.arange(10) + 0.5, [f"action {stream.classes_[k]}" for k in top])
axes.set_xlabel("Seconds of video")
axes.set_title("The ten most probable next actions; arrows mark what began")
for k, code in enumerate(codes):
    end = seconds[14 * (k + 1)]
    axes.axvline(end, color="0.6", lw=1)
    if code in top:
        row = np.flatnonzero(top == code)[0] + 0.5
        axes.annotate("", (end, row), (end - 0.4, row), arrowprops={"color": "C1"})
plt.show()
