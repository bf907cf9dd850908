"""
A grid search with futures
==========================

Futures, unlabelled rows and groups go through a pipeline with a scaler and through a
grid search: each fold gets its part of them, in step with its rows. The teacher of a
fold is fitted once and shared by all the candidates.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import sklearn
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    BatchedGridSearchCV,
    DistilledAnticipator,
    FrameMLP,
    PerFrame,
    SemiSupervisedSplit,
)
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import top_k_scorer

# %%
# Clips of four steps from 80 synthetic videos; one label in five is left. The truth of
# the test videos stands in the table of segments.
kitchen = make_kitchen(80, n_steps=4, unlabeled_fraction=0.8, random_state=0)
train, test = kitchen.groups < 50, kitchen.groups >= 50
X_past, X_future, y = kitchen.X_past[train], kitchen.X_future[train], kitchen.y[train]
groups = kitchen.groups[train]
X_test, y_test = kitchen.X_past[test], kitchen.segments.action[test]
print(f"{(y != -1).sum()} labelled clips, {(y == -1).sum()} unlabelled ones")

# %%
# The scaler is fitted on past clips. With ``transform_input`` and metadata routing the
# future clips go through it too.
student = DistilledAnticipator(
    FrameMLP(64),
    classes=sorted(kitchen.actions),  # a fold may lack a rare one
    max_epochs=15,
    random_state=0,
)
model = Pipeline(
    [("scale", PerFrame(StandardScaler())), ("student", student)],
    transform_input=["X_future_unlabeled"],
)

# %%
# What is searched changes nothing for the teacher: how much its map counts, and how
# sharply it is compared. The control takes as many steps, but learns from the labelled
# clips alone: its teacher knows nothing and is not listened to.
with_futures = [
    {"student__feature_weight": [0.0]},
    {"student__feature_weight": [0.1, 0.3, 1.0], "student__alpha": [0.1, 1.0]},
]
labels_only = {
    "student__teacher": [DummyClassifier()],
    "student__unlabeled_fraction": [0.0],
}


def search(grid):
    """Search over whole videos; unlabelled clips of a tested video are left out."""
    folds = SemiSupervisedSplit(GroupKFold(3))
    searched = BatchedGridSearchCV(model, grid, scoring=top_k_scorer(3), cv=folds)
    with sklearn.config_context(enable_metadata_routing=True):
        searched.fit(X_past, y, X_future_unlabeled=X_future, groups=groups)
    print(f"chosen: {searched.best_params_}")
    score = 100 * searched.score(X_test, y_test)
    print(f"top-3 on the test videos {score:.1f} per cent")
    return searched.cv_results_


control = search(labels_only)
with TemporaryDirectory() as folder:  # a cache keeps teachers for other searches too
    model.set_params(student__teacher_cache=folder)
    results = search(with_futures)
    print(len(list(Path(folder).glob("*.teacher.*"))), "teachers were fitted")

# %%
# Each candidate by the weight and alpha of its map; dots are the folds, bars their
# means. The futures bring far more than what tells the candidates apart: the answers of
# the teacher do most of it, and its map adds little.
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for found in (control, results):
    folds = [100 * found[f"split{fold}_test_score"] for fold in range(3)]
    for params, scores in zip(found["params"], zip(*folds, strict=True), strict=True):
        weight = params.get("student__feature_weight", "labels only")
        name = f"{weight}, {params.get('student__alpha', '-')}"
        ax.plot(sum(scores) / 3, name, "|", color="k", markersize=16)
        ax.plot(scores, [name] * 3, "o", color="#0072B2", alpha=0.6)
ax.set(xlabel="top-3 accuracy in cross-validation, per cent", ylabel="weight, alpha")
plt.show()
