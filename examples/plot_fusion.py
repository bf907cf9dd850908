"""
Fusion: whom to trust, and when
===============================

Two cameras see the same kitchen, and now and then one of them looks at the ceiling. A
mean of two models halves the damage. A network that looks at both may learn whom to
trust, for each clip. We look at whether it does, and at what that is worth.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from skanticipate import (
    RULSTM,
    LateFusion,
    ModalityAttention,
    SmoothedAnticipator,
)
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import top_k_accuracy

# %%
# All modalities travel in one array: channels 0-23 are the first camera, 24-47 the
# second. In two clips of five one of them shows nothing but noise, and more of it.
kitchen = make_kitchen(120, n_steps=5, noise=0.7, random_state=0)
rng = np.random.default_rng(0)
X = np.concatenate([kitchen.X_past, kitchen.X_past], axis=2)
X += rng.normal(scale=0.7, size=X.shape).astype(X.dtype)
broken = rng.choice(["none", "first", "second"], p=[0.6, 0.2, 0.2], size=len(X))
channels = {"first": (0, 24), "second": (24, 48)}
for camera, (start, stop) in channels.items():
    shape = (broken == camera).sum(), 5, 24
    X[broken == camera, :, start:stop] = rng.normal(scale=2.0, size=shape)
train, test = kitchen.groups < 80, kitchen.groups >= 80
y = kitchen.y

# %%
# A model of each camera, the mean of their answers, and one network with a branch for
# each camera and an attention between them. Branches first learn alone, then together.
branch = RULSTM(24, anticipation_steps=2, dropout=0.3)
options = {"max_epochs": 20, "lr": 4e-3, "random_state": 0}
alone = SmoothedAnticipator(branch, **options)
members = [(name, alone, at) for name, at in channels.items()]
mean = LateFusion(members).fit(X[train], y[train])
network = ModalityAttention(
    [(name, branch, at) for name, at in channels.items()], dropout=0.3, branch_epochs=10
)
attentive = SmoothedAnticipator(network, **options).fit(X[train], y[train])

# %%
# Scores, by what is broken. A single camera fails where it may be the broken one.
proba = {
    **{
        name: mean.named_estimators_[name].predict_proba(X[test][:, :, slice(*at)])
        for name, at in channels.items()
    },
    "mean of both": mean.predict_proba(X[test]),
    "attention": attentive.predict_proba(X[test]),
}
table = {
    name: [
        100 * top_k_accuracy(y[test][rows], p[rows], k=3, classes=mean.classes_)
        for rows in (broken[test] == "none", broken[test] != "none")
    ]
    for name, p in proba.items()
}
for name, (whole, damaged) in table.items():
    print(f"{name:13} top-3: both fine {whole:.1f}, one broken {damaged:.1f} per cent")

# %%
# Above: how much the attention listens to the first camera. Nobody told the network
# which one is broken, and yet it turns away from it. Below: what that is worth. Both
# fusions are far better than either camera, and hardly differ: the model of a broken
# camera is unsure of itself, so that in a mean, too, the other one decides.
with torch.inference_mode():
    weights = attentive.network_.attention(torch.from_numpy(X[test]))  # (n, stages, 2)
weights = weights[:, -1, 0].numpy()
fig, (left, right) = plt.subplots(2, 1, figsize=(6.5, 6), layout="constrained")
for camera, style in {"first": "//", "none": "", "second": ".."}.items():
    shown = {"bins": np.linspace(0, 1, 26), "density": True, "alpha": 0.6}
    label = "both are fine" if camera == "none" else f"the {camera} is broken"
    left.hist(weights[broken[test] == camera], label=label, hatch=style, **shown)
left.set(xlabel="weight of the first camera", ylabel="density of clips")
left.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
places = np.arange(len(table))
whole, damaged = np.transpose(list(table.values()))
right.plot(whole, places, "o", ms=9, label="both are fine")
right.plot(damaged, places, "s", ms=9, label="one is broken")
right.hlines(places, damaged, whole, color="0.6", zorder=0)
right.set_yticks(places, table)
right.set(xlabel="top-3 accuracy on test videos, per cent", ylim=(-0.5, 3.5))
right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
plt.show()
