"""
Four priors: what a wrong answer may be
=======================================

A one-hot label says that every other action is equally wrong. Camporese et al. soften
labels with what is known of the actions before anything is trained: nothing at all,
their words, the meaning of their words, or what usually follows what. We look at the
four tables, and at what an anticipator makes of them.

If the annotations of EPIC-KITCHENS-55 lie in your data folder (``fetch_epic55()`` puts
them there), the tables are those of its 20 most frequent actions.
"""

import matplotlib.pyplot as plt
import numpy as np

from skanticipate import (
    GloVePrior,
    SmoothedAnticipator,
    TemporalPrior,
    UniformPrior,
    VerbNounPrior,
    fit_many,
)
from skanticipate.datasets import fetch_epic55, label_history, make_kitchen
from skanticipate.metrics import top_k_scorer
from skanticipate.plotting import PriorDisplay

# %%
# Labels, what was done before each, and names. A temporal prior counts pairs of them.
kitchen = make_kitchen(60, random_state=0)
actions, y, y_past = kitchen.actions, kitchen.y, kitchen.y_past
try:
    epic = fetch_epic55(download_if_missing=False)
    named = zip(epic.actions.verb, epic.actions.noun, strict=True)
    actions = dict(zip(epic.actions.label.tolist(), named, strict=True))
    y = epic.train.action
    y_past = label_history(epic.train, history=1, fps=epic.fps)[:, -1]
    print("EPIC-KITCHENS-55:", len(y), "segments")
except OSError:
    print("a synthetic kitchen:", len(y), "segments")

# %%
# Word vectors say which words are used alike. Real ones (GloVe, a file of some hundred
# megabytes) go to ``vectors=`` by their path; these were made up by hand for the words
# of the kitchen, with axes for food, water and things. A warning tells of other words.
words = {
    **dict.fromkeys("tomato carrot onion potato".split(), [1.0, 0.2, 0.0]),
    **dict.fromkeys("pan bowl plate knife".split(), [0.1, 0.3, 1.0]),
    **dict.fromkeys("cut peel mix".split(), [1.0, 0.0, 0.2]),
    **dict.fromkeys("take put open close".split(), [0.0, 0.1, 1.0]),
    "wash": [0.3, 1.0, 0.3],
}


def priors_of(actions):
    """The four priors, by name."""
    return {
        "uniform": UniformPrior(),
        "verb-noun": VerbNounPrior(actions),
        "word vectors": GloVePrior(actions, words, similarity="cosine", power=3),
        "temporal": TemporalPrior(),
    }


# %%
# The tables. A row is a label, its cells are what its probability is shared with. The
# uniform prior is one shade; verb-noun draws blocks of equal verbs and nouns; word
# vectors join vegetables with vegetables, whatever the words; the temporal one is not
# about resemblance at all, but about which actions take each other's place.
labels, counts = np.unique(y, return_counts=True)
shown = np.sort(labels[np.argsort(-counts)[:20]])
rows = np.isin(y, shown)
names = [" ".join(actions[label]) for label in shown]
fig, axes = plt.subplots(2, 2, figsize=(6.5, 6), layout="constrained")
for ax, (name, prior) in zip(axes.flat, priors_of(actions).items(), strict=True):
    fitted = prior.fit(shown, y[rows], y_past[rows])
    display = PriorDisplay.from_prior(fitted, max_labels=0, colorbar=False, ax=ax)
    display.im_.set_clim(0, 0.3)  # one scale for all of them
    ax.set(title=name, xlabel="", ylabel="")
for ax in axes[:, 0]:
    ax.set_yticks(range(len(names)), names, fontsize=8)
_ = fig.colorbar(display.im_, ax=axes, label="probability", extend="max", shrink=0.5)

# %%
# What they bring here, three seeds each: the differences are no larger than the spread.
# Twenty frequent actions teach themselves; the gains that Camporese et al. report are
# for the 2,513 of EPIC-KITCHENS-55.
train, test = kitchen.groups < 40, kitchen.groups >= 40
top_3 = top_k_scorer(3)
for name, prior in {"one-hot": None, **priors_of(kitchen.actions)}.items():
    smoothing = 0.0 if prior is None else 0.2
    options = {"prior": prior, "smoothing": smoothing, "max_epochs": 20}
    seeds = [SmoothedAnticipator(**options, random_state=seed) for seed in range(3)]
    past = {"y_past": kitchen.y_past[train]}
    fitted = fit_many(seeds, kitchen.X_past[train], kitchen.y[train], **past)
    scores = [100 * top_3(m, kitchen.X_past[test], kitchen.y[test]) for m in fitted]
    spread = f"({min(scores):.1f} to {max(scores):.1f})"
    print(f"{name:13} top-3 {np.mean(scores):.1f} {spread}")
