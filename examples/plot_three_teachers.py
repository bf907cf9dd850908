"""
Three teachers, one student
===========================

A prior knows which actions resemble each other, a second teacher sees the future, a
third reads what was done before. One estimator listens to all of them, one grid search
weighs them, and an ablation says what each of them brings.
"""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from warnings import catch_warnings, simplefilter

import matplotlib.pyplot as plt
import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GroupKFold

from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    HistoryTeacher,
    SemiSupervisedSplit,
    VerbNounPrior,
)
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import top_k_scorer

# %%
# Synthetic videos, of which one in five is annotated. The student sees features of the
# clip before the action and nothing else. The first teacher knows what labels mean, the
# second sees the clip of the action, the third the list of what was done before it: in
# annotated videos, of course.
kitchen = make_kitchen(120, random_state=0)
train, test = kitchen.groups < 50, kitchen.groups >= 50
X_train, groups = kitchen.X_past[train], kitchen.groups[train]
X_test, y_test = kitchen.X_past[test], kitchen.y[test]
annotated = groups < 10
y_train = np.where(annotated, kitchen.y[train], -1)
past_actions = np.where(annotated[:, None], kitchen.past_actions[train], -1)
signals = {
    "future": {"X_future_unlabeled": kitchen.X_future[train]},
    "text": {"past_actions": past_actions},
}
n_labelled = (y_train >= 0).sum()
print(f"{n_labelled} labelled clips of {len(y_train)}, {len(y_test)} to test on")

# %%
# One estimator, and every weight in one grid. The weights change nothing for the
# teachers, so the candidates of a fold share theirs; the cache keeps them.
student = DistilledAnticipator(
    MLP(64),
    prior=VerbNounPrior(kitchen.actions),
    init_from_teacher=False,
    classes=sorted(kitchen.actions),
    max_epochs=30,
    random_state=0,
)
reader = HistoryTeacher(kitchen.actions, n_networks=1)
weights = {
    "smoothing": [0.0, 0.3],
    "teacher_weight": [0.0, 1.0],
    "text_weight": [0.1, 0.3],
}
scorer = top_k_scorer(3)
with TemporaryDirectory() as folder:
    search = BatchedGridSearchCV(
        clone(student).set_params(text_teacher=reader, teacher_cache=folder),
        weights,
        scoring=scorer,
        cv=SemiSupervisedSplit(GroupKFold(2)),
    )
    with config_context(enable_metadata_routing=True):  # groups for the student too
        search.fit(
            X_train, y_train, groups=groups, **signals["future"], **signals["text"]
        )
print("chosen:", search.best_params_)
print(f"top-3 on the test videos: {100 * search.score(X_test, y_test):.1f} per cent")

# %%
# The ablation, with the weights that the search chose. A teacher is asked where ``fit``
# is given what it may see. Clips of which nobody says anything are dropped; students
# without futures then take more passes, so that all take as many steps.


def n_steps(n_clips):
    """Steps of the optimiser in one pass."""
    return -(-n_clips // student.batch_size)


def score(heard, seed):
    """Top-3 of a student that hears some of the teachers, in per cent."""
    given = {k: v for name in heard for k, v in signals.get(name, {}).items()}
    longer = n_steps(len(y_train)) / n_steps(n_labelled)
    passes = 1 if "future" in heard else longer
    model = clone(student).set_params(
        **search.best_params_ | ({} if "prior" in heard else {"smoothing": 0.0}),
        text_teacher=reader if "text" in heard else None,
        max_epochs=round(passes * student.max_epochs),
        random_state=seed,
    )
    with catch_warnings():
        simplefilter("ignore", UserWarning)  # of the clips that are dropped
        model.fit(X_train, y_train, groups=groups, **given)
    return 100 * scorer(model, X_test, y_test)


TEACHERS = ("prior", "future", "text")
table = {}
for kept in product((False, True), repeat=3):
    heard = [name for name, on in zip(TEACHERS, kept, strict=True) if on]
    table[" + ".join(heard) or "labels only"] = [score(heard, s) for s in range(2)]

print("\ntop-3 on the test videos, per cent (two seeds)")
for name, scores in table.items():
    print(f"{name:24} {np.mean(scores):5.1f}  ({scores[0]:.1f}, {scores[1]:.1f})")

# %%
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, scores in reversed(table.items()):
    colour = "0.5" if name == "labels only" else "tab:blue"
    ax.plot(scores, [name] * len(scores), color=colour)
    ax.plot(np.mean(scores), name, "o", color=colour, markersize=9)
ax.axvline(np.mean(table["labels only"]), color="0.5", linewidth=0.8)
ax.grid(axis="y", color="0.9")
ax.set(xlabel="top-3 accuracy on the test videos, per cent (lines: range of two seeds)")
ax.set_title("What each teacher brings to a synthetic kitchen")
ax.spines[["top", "right"]].set_visible(False)
picture = Path(__file__).with_suffix(".png")
fig.savefig(picture, dpi=100)
print(f"picture saved to {picture.name}")
