"""
A teacher that sees the future: how many labels does it save?
=============================================================

Of most clips we know what came next, but nobody named it. A teacher learns to name
actions from the few labelled *future* clips and answers for all the others; from these
answers the student learns to name the action from the *past*. We hide more and more
labels and count what the teacher brings against two controls. (All data are synthetic
and made to show the effect: on real data expect less.)
"""

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from skanticipate import MLP, DistilledAnticipator
from skanticipate.datasets import make_kitchen
from skanticipate.plotting import LabelFractionDisplay

# %%
# Sixty videos to learn from, forty to test on.
kitchen = make_kitchen(n_videos=100, random_state=0)
train, test = kitchen.groups < 60, kitchen.groups >= 60
X_past, X_future, y = kitchen.X_past[train], kitchen.X_future[train], kitchen.y[train]

# %%
# The student, and what it is compared with. An epoch has as many steps for all of them.
# *Labels only* takes every batch from the labelled rows; its teacher knows nothing and
# is not listened to. *Past only* is the same student again, but its teacher gets the
# past clips instead of the future ones: what is gained without the future.
student = DistilledAnticipator(MLP(64), max_epochs=20)
labels_only = clone(student).set_params(teacher=DummyClassifier(), unlabeled_fraction=0)

# %%
# ``LabelFractionDisplay`` hides labels, fits clones, and scores them on test clips.
# Both calls draw into the same axes.
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
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
print("accuracy, per cent, at", [f"{100 * f:g} %" for f in futures.fractions], "labels")
for name, scores in (futures.scores | past.scores).items():
    print(f"{name:24}", *(f"{100 * s:5.1f}" for s in scores.mean(axis=1)))

# %%
# The gap is what the future is worth: widest where few labels are left, and nothing
# where all are there. A teacher that sees the past only adds little to labels alone.
# Shades are one standard deviation over three draws of the labels.
plt.show()
