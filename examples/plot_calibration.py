"""
How sure is it? Calibration and sets of answers
===============================================

Whoever acts on an anticipation wants to know how far to trust it. Is an answer of 70
per cent right seven times in ten? And if one answer is not enough, how many are needed
to have the true one among them nine times in ten? (Synthetic data.)
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn.functional import cross_entropy

from skanticipate import MLP, SmoothedAnticipator, VerbNounPrior
from skanticipate.datasets import make_kitchen

# %%
# Three parts of whole videos: to train on, to calibrate on, and to test. A network that
# is trained for long learns to be sure of what it has seen; softened labels hold it
# back.
kitchen = make_kitchen(160, random_state=0)
parts = np.digitize(kitchen.groups, [40, 100])
(X_train, X_cal, X_test), (y_train, y_cal, y_test) = (
    [values[parts == part] for part in range(3)]
    for values in (kitchen.X_past, kitchen.y)
)
options = {"prior": VerbNounPrior(kitchen.actions), "max_epochs": 80}
hard, soft = (
    SmoothedAnticipator(MLP(128), **options, smoothing=smoothing, random_state=0).fit(
        X_train, y_train
    )
    for smoothing in (0.0, 0.4)
)


# %%
# Dividing all scores by one number, the temperature, changes no order and repairs most:
# one is chosen that makes the labels of the calibration part likely.
def temperature_of(proba):
    """Temperature in 0.5 ... 4 under which the calibration labels are likeliest."""
    logits, target = torch.from_numpy(np.log(proba)), torch.from_numpy(y_cal)
    choices = np.linspace(0.5, 4, 71)
    return min(choices, key=lambda t: cross_entropy(logits / t, target).item())


def tempered(proba, temperature):
    """Probabilities whose logarithms are divided by a number."""
    powers = proba ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


t = temperature_of(hard.predict_proba(X_cal))
answers = {
    "hard labels": hard.predict_proba(X_test),
    f"temperature {t:.2g}": tempered(hard.predict_proba(X_test), t),
    "soft labels": soft.predict_proba(X_test),
}


# %%
# Sets of answers, by split conformal prediction: on the calibration part, note how much
# probability the truth was short of. The 90 per cent quantile of that is a threshold,
# and whatever is short of no more belongs to the set. If new videos are like those of
# the calibration, 90 per cent of the sets hold the truth, whatever the model is worth.
def sets_of(model, level=0.9):
    """Members of the set of each test clip, (n, C) of bool."""
    proba = model.predict_proba(X_cal)
    short = 1 - proba[np.arange(len(y_cal)), y_cal]  # classes are 0 ... C - 1
    quantile = np.ceil((len(short) + 1) * level) / len(short)
    return 1 - model.predict_proba(X_test) <= np.quantile(short, quantile)


# %%
# Left: of the answers that were so sure, how many were right. Hard labels make a model
# that promises more than it keeps, below the diagonal; a temperature puts it right, and
# soft labels do most of that by themselves. Right: how many answers it takes. Both keep
# their 90 per cent, and soft labels pay for it with larger sets.
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained")
left.plot([0, 1], [0, 1], color="0.7")
for (name, proba), style in zip(answers.items(), ("o-", "s--", "^:"), strict=True):
    sure, correct = proba.max(axis=1), proba.argmax(axis=1) == y_test
    bins = np.array_split(np.argsort(sure), 8)
    points = [(sure[rows].mean(), correct[rows].mean()) for rows in bins]
    left.plot(*np.transpose(points), style, label=name, markersize=5)
    error = np.mean([abs(a - b) for a, b in points])
    print(f"{name:15} accuracy {correct.mean():.3f}, calibration error {error:.3f}")
left.set(xlabel="probability of the answer", ylabel="share that is right")
left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
for name, model, style in (("hard", hard, "o-"), ("soft", soft, "^:")):
    members = sets_of(model)
    held = members[np.arange(len(y_test)), y_test].mean()
    label = f"{name} labels: {100 * held:.0f} % hold the truth"
    print(f"{label}, {members.sum(axis=1).mean():.1f} of 20 answers on average")
    right.plot(np.bincount(members.sum(axis=1), minlength=21), style, label=label)
right.set(xlabel="answers in a set", ylabel="test clips")
right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
plt.show()
