"""
A teacher that sees the future
==============================

Labels are dear, video is not: of most clips we know what came next, but nobody named
it. A teacher learns to name actions from the few labelled *future* clips and answers
for all the others; from these answers the student learns to name the action from the
*past*. We count what that brings against two controls, and look at what student and
teacher attend to. All data are synthetic and made to show the effect: on real data
expect less.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from skanticipate import MLP, DistilledAnticipator, FeatureMapNet
from skanticipate.datasets import make_drifting_maps, make_kitchen
from skanticipate.plotting import AttentionMapDisplay, LabelFractionDisplay

# %%
# The student, and what it is compared with. An epoch has as many steps for all of them.
# *Labels only* takes every batch from the labelled rows; its teacher knows nothing and
# is not listened to. *Past only* is the same student again, but its teacher gets the
# past clips instead of the future ones: what is gained without the future.
student = DistilledAnticipator(MLP(64), max_epochs=20)
labels_only = clone(student).set_params(teacher=DummyClassifier(), unlabeled_fraction=0)

kitchen = make_kitchen(n_videos=100, random_state=0)
train, test = kitchen.groups < 60, kitchen.groups >= 60
X_past, X_future, y = kitchen.X_past[train], kitchen.X_future[train], kitchen.y[train]

fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
options = {
    "X_test": kitchen.X_past[test],
    "y_test": kitchen.y[test],
    "fractions": (0.05, 0.1, 0.25, 1.0),
    "scoring": "accuracy",
    "ax": ax,
}
futures = LabelFractionDisplay.from_estimator(
    {"teacher sees the future": student, "labels only": labels_only},
    *(X_past, y, X_future),
    **options,
)
past = LabelFractionDisplay.from_estimator(
    {"teacher sees the past": student}, X_past, y, X_past, **options
)
ax.set_title("Synthetic kitchen: 20 actions, equal optimiser steps")
fig.savefig(Path(__file__).with_suffix(".png"), dpi=100)
print("accuracy, per cent, at", [f"{100 * f:g} %" for f in futures.fractions], "labels")
for name, scores in (futures.scores | past.scores).items():
    print(f"{name:24}", *(f"{100 * s:5.1f}" for s in scores.mean(axis=1)))

# %%
# Maps of 5 x 5 positions. Three of them show the class; in the past a nuisance covers
# them, and until the future they move. There are three labels a class.
maps = make_drifting_maps(n_unlabeled=400, n_test=400, random_state=0)
model = DistilledAnticipator(
    FeatureMapNet(32, n_blocks=0), max_epochs=40, batch_size=64, random_state=0
)
plain = clone(model).set_params(teacher=DummyClassifier(), unlabeled_fraction=0)
direct = clone(model).set_params(alignment="direct")
students = {"labels only": plain, "direct": direct, "weak": model}
for name, estimator in students.items():
    estimator.fit(maps.X_past, maps.y, maps.X_future)
    score = estimator.score(maps.X_test, maps.y_test)
    print(f"maps, {name:12} accuracy {100 * score:.1f} per cent")

# %%
# Where do the networks look? White frames mark the positions that hold the code of the
# class, which no network was told. The plain student finds them too, for there the
# nuisance stands out; what the distilled ones have learnt is to see through it. Strong
# vectors say where a network looks, not whether it understands.
clips = 20, 22, 24  # unlabelled ones


def content(clip, directions):
    """Positions nearest to a class code, once some directions are taken out."""
    codes = np.concatenate([maps.class_codes, maps.background_codes])
    keep = np.eye(codes.shape[1]) - directions.T @ directions
    distances = np.linalg.norm((clip[:, :, None] - codes) @ keep, axis=-1)
    return np.argwhere(distances.argmin(axis=-1) < len(maps.class_codes))


display = AttentionMapDisplay.from_estimator(
    students, maps.X_past, maps.X_future, clip=clips, teacher_past=True
)
for clip, row in zip(clips, np.reshape(display.axes_, (len(clips), -1)), strict=True):
    past_cells = content(maps.X_past[clip], maps.nuisance_directions)
    future_cells = content(maps.X_future[clip], maps.nuisance_directions[:0])
    for ax in row:
        for i, j in future_cells if ax is row[-1] else past_cells:
            frame = plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, ec="w", lw=2)
            ax.add_patch(frame)
display.figure_.suptitle("Length of the feature vectors; frames: content")
picture = Path(__file__).with_name("plot_distillation_maps.png")
display.figure_.savefig(picture, dpi=100)
print(f"pictures saved to {Path(__file__).with_suffix('.png').name} and {picture.name}")
