"""
A prior, a network and a teacher of your own
============================================

Each is a class of a few lines: what you write is the idea. (Synthetic data.)
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn

from skanticipate import DistilledAnticipator, NetworkSpec, Output, fit_many
from skanticipate.datasets import make_kitchen
from skanticipate.networks.bare import skip_init
from skanticipate.networks.base import initialize
from skanticipate.priors import BasePrior


# %%
# A **prior** gives a matrix with one distribution in each row. This one shares a label
# with all others of its *verb*, the more frequent the more.
class VerbPrior(BasePrior):
    """What is done, whatever it is done to."""

    def __init__(self, actions):
        self.actions = actions

    def _fit_matrix(self, classes, y, y_past):  # -> (C, C), rows of sum 1
        verbs = np.array([self.actions[label][0] for label in classes.tolist()])
        counts = np.array([1 + np.sum(y == label) for label in classes])
        shared = (verbs[:, None] == verbs) * counts
        return np.float32(shared / shared.sum(axis=1, keepdims=True))


# %%
# A **network** is a spec, which a search can set, and a module that it builds.
# ``initialize`` draws all weights, so that a seed decides on them.
class Averages(NetworkSpec):
    """Mean over the steps of what a layer makes of each, and a classifier."""

    uses_global_rng = False

    def __init__(self, width=64):
        self.width = width

    def build(self, input_shape, n_classes, *, generator):
        return initialize(_Module(input_shape[-1], self.width, n_classes), generator)


class _Module(nn.Module):
    def __init__(self, n_inputs, width, n_classes):
        super().__init__()
        self.step = skip_init(nn.Linear, n_inputs, width)
        self.classifier = skip_init(nn.Linear, width, n_classes)

    def forward(self, clips):  # (B, T, d)
        steps = self.step(clips).relu()  # (B, T, width), the feature map
        return Output(self.classifier(steps.mean(dim=1, keepdim=True)), steps)


# %%
# A **teacher** is any classifier with ``predict_proba``. This one compares the clip of
# the action itself, which the student does not see, with the mean of each class.
class NearestMean(ClassifierMixin, BaseEstimator):
    """The class whose mean clip is nearest."""

    def fit(self, X, y):  # (n, T, d), (n,)
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == c].mean(axis=(0, 1)) for c in self.classes_])
        return self

    def predict_proba(self, X):
        distance = np.square(X.mean(axis=1)[:, None] - self.means_).sum(axis=2)
        nearness = np.exp(distance.min(axis=1, keepdims=True) - distance)
        return nearness / nearness.sum(axis=1, keepdims=True)


# %%
# All three, and what happens without each of them. The teacher brings much, the prior
# nothing to speak of, and the default network, an LSTM, is better than ours.
kitchen = make_kitchen(90, n_steps=4, random_state=0)
train, test = kitchen.groups < 45, kitchen.groups >= 45
y = np.where(kitchen.groups < 12, kitchen.y, -1)  # few videos are labelled
own = {"prior": VerbPrior(kitchen.actions), "smoothing": 0.2}
own |= {"network": Averages(), "teacher": NearestMean(), "max_epochs": 20}
changes = {"no teacher": {"teacher": None, "max_epochs": 60}, "all three": {}}
changes |= {"LSTM": {"network": None}, "no prior": {"prior": None, "smoothing": 0}}
fig, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for name, change in changes.items():
    rows = train & (y >= 0) if name == "no teacher" else train
    seeds = [DistilledAnticipator(**own | change, random_state=k) for k in range(3)]
    futures = None if name == "no teacher" else kitchen.X_future[rows]
    fitted = fit_many(seeds, kitchen.X_past[rows], y[rows], futures)
    scores = [100 * m.score(kitchen.X_past[test], kitchen.y[test]) for m in fitted]
    print(f"{name:10} accuracy {np.mean(scores):.1f} per cent")
    ax.plot(scores, [name] * 3, "o-", color="#0072B2")
ax.set(xlabel="accuracy on test videos, per cent (three seeds)")
plt.show()
