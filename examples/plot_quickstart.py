"""
Quick start: anticipate, smooth, search
=======================================

A person cooks. From the features of what was seen up to now, which action comes next?
We use synthetic features of 40 videos, soften the labels by what they mean, choose how
much by a grid search over whole videos, and look at both.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    SmoothedAnticipator,
    TemporalPrior,
    VerbNounPrior,
)
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import top_k_scorer
from skanticipate.plotting import PriorDisplay

# %%
# 600 clips of a synthetic kitchen. A label is a number; ``actions`` gives its verb and
# noun. The last eight videos are kept for the test.
kitchen = make_kitchen(random_state=0)
train, test = kitchen.groups < 32, kitchen.groups >= 32
X_test, y_test = kitchen.X_past[test], kitchen.y[test]
names = [" ".join(pair) for pair in kitchen.actions.values()]

# %%
# Fit and score: a small network whose labels are softened by the actions that share
# their verb or noun. Top-3 counts a clip as right if the action is among three guesses.
meaning = VerbNounPrior(kitchen.actions)
student = SmoothedAnticipator(
    MLP(64), prior=meaning, smoothing=0.2, max_epochs=30, random_state=0
)
model = make_pipeline(StandardScaler(), student)
model.fit(kitchen.X_past[train], kitchen.y[train])
top_3 = top_k_scorer(3)
print(f"accuracy {model.score(X_test, y_test):.3f} on the test videos")
print(f"top-3    {top_3(model, X_test, y_test):.3f}")

# %%
# Search: which prior, how much of it, how wide a network. Folds hold whole videos, and
# ``y_past`` (the action seen last) travels with them, so the temporal prior counts
# transitions of the training fold only.
search = BatchedGridSearchCV(
    model,
    {
        "smoothedanticipator__prior": [meaning, TemporalPrior()],
        "smoothedanticipator__smoothing": [0.0, 0.2, 0.4],
        "smoothedanticipator__network__hidden_size": [32, 64],
    },
    scoring=top_3,
    cv=GroupKFold(4),
)
search.fit(
    kitchen.X_past[train],
    kitchen.y[train],
    groups=kitchen.groups[train],
    smoothedanticipator__y_past=kitchen.y_past[train],
)
for name, value in search.best_params_.items():
    print(f"{name.split('__', 1)[1]}: {value}")
print(f"chosen model: top-3 {search.score(X_test, y_test):.3f} on the test videos")

# %%
# What labels are softened with: "wash tomato" lends some of its probability to whatever
# else washes, or is done to a tomato.
display = PriorDisplay.from_prior(meaning.fit(sorted(kitchen.actions)))
display.ax_.set_xticks(range(len(names)), names, rotation=90)
display.ax_.set_yticks(range(len(names)), names)
display.figure_.set_size_inches(6.5, 5.5)

# %%
# What the search found. The bars, one standard deviation over the folds, are wider than
# what tells the candidates apart: on these data the choice hardly matters.
found = search.cv_results_
scores, spread = 100 * found["mean_test_score"], 100 * found["std_test_score"]
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
kinds = (VerbNounPrior, "o-", -0.005), (TemporalPrior, "s--", 0.005)
for kind, style, shift in kinds:
    chosen = [
        isinstance(params["smoothedanticipator__prior"], kind)
        and params["smoothedanticipator__network__hidden_size"] == 64
        for params in found["params"]
    ]
    weights = found["param_smoothedanticipator__smoothing"][chosen].astype(float)
    options = {"fmt": style, "capsize": 4, "label": kind.__name__}
    ax.errorbar(weights + shift, scores[chosen], spread[chosen], **options)
ax.set(xlabel="smoothing", ylabel="top-3 accuracy in the folds, per cent")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
fig.savefig("quickstart.png")
print("picture saved to quickstart.png")
