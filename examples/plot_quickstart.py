"""
Quick start: anticipate, smooth, search
=======================================

A person cooks. From the features of what was seen up to now, which action comes next?
We use synthetic features of 40 videos, soften the labels by what they mean, choose how
much by a grid search over whole videos, and look at the winning prior.
"""

from pathlib import Path

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
names = {label: " ".join(pair) for label, pair in kitchen.actions.items()}

# %%
# Fit and score: a small network whose labels are softened by the actions that share
# their verb or noun.
model = make_pipeline(
    StandardScaler(),
    SmoothedAnticipator(
        MLP(64),
        prior=VerbNounPrior(kitchen.actions),
        smoothing=0.2,
        max_epochs=30,
        random_state=0,
    ),
)
model.fit(kitchen.X_past[train], kitchen.y[train])
top_3 = top_k_scorer(3)
X_test, y_test = kitchen.X_past[test], kitchen.y[test]
print(f"accuracy {model.score(X_test, y_test):.3f} on the test videos")
print(f"top-3    {top_3(model, X_test, y_test):.3f}")

# %%
# Search: which prior, how much of it, how wide a network. Folds hold whole videos, and
# ``y_past`` (the action seen last) travels with them, so the temporal prior counts
# transitions of the training fold only.
search = BatchedGridSearchCV(
    model,
    {
        "smoothedanticipator__prior": [VerbNounPrior(kitchen.actions), TemporalPrior()],
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
# What the labels were softened with.
prior = VerbNounPrior(kitchen.actions).fit(sorted(kitchen.actions))
fig, (left, right) = plt.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
PriorDisplay.from_prior(prior, ax=left)
left.set_xticks(range(len(names)), names.values(), rotation=90)
left.set_yticks(range(len(names)), names.values())
left.set_title("Verb-noun prior")

results = search.cv_results_
for kind in (VerbNounPrior, TemporalPrior):
    chosen = [
        isinstance(p, kind) and size == 64
        for p, size in zip(
            results["param_smoothedanticipator__prior"],
            results["param_smoothedanticipator__network__hidden_size"],
            strict=True,
        )
    ]
    right.errorbar(
        results["param_smoothedanticipator__smoothing"][chosen].astype(float),
        100 * results["mean_test_score"][chosen],
        100 * results["std_test_score"][chosen],
        marker="o",
        capsize=3,
        label=kind.__name__,
    )
right.set(xlabel="smoothing", ylabel="top-3 accuracy, per cent", title="Grid search")
right.legend()
picture = Path(__file__).with_suffix(".png")
fig.savefig(picture, dpi=100)
print(f"picture saved to {picture}")
