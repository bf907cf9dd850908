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
    VerbNounPrior,
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
# future clips go through it too. What is searched for changes nothing for the teacher,
# so all candidates of a fold share theirs. A cache keeps it for later searches too; it
# needs a fixed seed.
student = DistilledAnticipator(
    FrameMLP(64),
    prior=VerbNounPrior(kitchen.actions),
    classes=sorted(kitchen.actions),  # a fold may lack a rare one
    max_epochs=15,
    random_state=0,
)
model = Pipeline(
    [("scale", PerFrame(StandardScaler())), ("student", student)],
    transform_input=["X_future_unlabeled"],
)
smoothing = [0.0, 0.2, 0.4]
with_futures = [
    {"student__smoothing": smoothing, "student__feature_weight": [0.0]},
    {
        "student__smoothing": smoothing,
        "student__feature_weight": [0.1, 1.0],
        "student__alpha": [0.1, 1.0],
    },
]

# %%
# The control takes as many steps, but learns from the labelled clips alone: its teacher
# knows nothing and is not listened to.
labels_only = {
    "student__smoothing": smoothing,
    "student__teacher": [DummyClassifier()],
    "student__unlabeled_fraction": [0.0],
}


def search(grid):
    """Search over whole videos; unlabelled clips of a tested video are left out."""
    folds = SemiSupervisedSplit(GroupKFold(3))
    searched = BatchedGridSearchCV(model, grid, scoring=top_k_scorer(3), cv=folds)
    with sklearn.config_context(enable_metadata_routing=True):
        searched.fit(X_past, y, X_future_unlabeled=X_future, groups=groups)
    return searched, 100 * searched.score(X_test, y_test)


with TemporaryDirectory() as folder:
    model.set_params(student__teacher_cache=folder)
    futures, score = search(with_futures)
    n_teachers = len(list(Path(folder).glob("*.teacher.*")))
    print(f"{len(futures.cv_results_['params'])} candidates, {n_teachers} teachers")
model.set_params(student__teacher_cache=None)
control, control_score = search(labels_only)

for name, value in futures.best_params_.items():
    print(f"{name.removeprefix('student__')}: {value}")
print(f"top-3 on the test videos: with futures {score:.1f} per cent")
print(f"                          labels only  {control_score:.1f} per cent")

# %%
# Each candidate, mean over the folds.
fig, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")


def name_of(feature_weight=None, alpha=None, **_):
    """Name of the row of a candidate."""
    if feature_weight is None:
        return "labels only"
    if alpha is None:
        return "soft targets"
    return f"+ maps: weight {feature_weight:g}, alpha {alpha:g}"


for results in (control.cv_results_, futures.cv_results_):
    names = [
        name_of(**{name.removeprefix("student__"): v for name, v in params.items()})
        for params in results["params"]
    ]
    shown = ax.scatter(
        100 * results["mean_test_score"],
        names,
        s=90,
        c=results["param_student__smoothing"].astype(float),
        cmap="viridis_r",
        alpha=0.8,
        edgecolor="white",
        vmin=min(smoothing),
        vmax=max(smoothing),
    )
fig.colorbar(shown, ax=ax, label="smoothing", ticks=smoothing)
ax.set(xlabel="top-3 accuracy in cross-validation, per cent")
ax.set_title("What the futures bring to a synthetic kitchen")
ax.grid(axis="y", color="0.9")
ax.set_axisbelow(True)
ax.spines[["top", "right"]].set_visible(False)
picture = Path(__file__).with_suffix(".png")
fig.savefig(picture, dpi=100)
print(f"picture saved to {picture.name}")
