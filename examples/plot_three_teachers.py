"""
Three teachers, one student
===========================

A prior knows which actions resemble each other, a second teacher sees the future, a
third reads what was done before. One estimator listens to all of them, one grid search
weighs them, and an ablation says what each of them brings.
"""

from itertools import product

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
signals = {"X_future_unlabeled": kitchen.X_future[train], "past_actions": past_actions}
print(f"{(y_train >= 0).sum()} labelled clips of {len(y_train)}")

# %%
# One estimator, and every weight in one grid. The weights change nothing for the
# teachers, so the candidates of a fold share theirs.
student = DistilledAnticipator(
    MLP(64),
    prior=VerbNounPrior(kitchen.actions),
    init_from_teacher=False,
    classes=sorted(kitchen.actions),
    max_epochs=20,
    random_state=0,
)
reader = HistoryTeacher(kitchen.actions, n_networks=1, max_epochs=5)
weights = {"smoothing": [0.1, 0.3], "teacher_weight": [0, 1], "text_weight": [0.1, 0.3]}
scorer, splits = top_k_scorer(3), SemiSupervisedSplit(GroupKFold(2))
searched = clone(student).set_params(text_teacher=reader)
search = BatchedGridSearchCV(searched, weights, scoring=scorer, cv=splits)
with config_context(enable_metadata_routing=True):  # groups for the student too
    search.fit(X_train, y_train, groups=groups, **signals)
print("chosen:", search.best_params_)
print(f"top-3 on the test videos: {100 * search.score(X_test, y_test):.1f} per cent")

# %%
# The ablation, with the weights that the search chose. A teacher is asked where ``fit``
# is given what it may see. Clips of which nobody says anything are left out; students
# without futures then take more passes, so that all take as many steps.
TEACHERS = {"prior": None, "future": "X_future_unlabeled", "text": "past_actions"}


def score(heard, seed):
    """Top-3 of a student that hears some of the teachers, in per cent."""
    rows = slice(None) if "future" in heard else annotated
    given = [TEACHERS[name] for name in heard if name != "prior"]
    model = clone(student).set_params(**search.best_params_, random_state=seed)
    if "prior" not in heard:
        model.set_params(prior=None, smoothing=0.0)
    text = {"text_teacher": reader} if "text" in heard else {"text_weight": 1.0}
    model.set_params(**text)  # without a reader there is nobody to weigh
    if "future" not in heard:
        longer = np.ceil(len(annotated) / 128) / np.ceil(annotated.sum() / 128)
        model.set_params(max_epochs=round(longer * model.max_epochs))
    own = {name: signals[name][rows] for name in given}
    model.fit(X_train[rows], y_train[rows], groups=groups[rows], **own)
    return 100 * scorer(model, X_test, y_test)


# %%
# Dots are two seeds. Whoever hears the teacher of the future is ahead. The prior and
# the text know no more than the labelled videos tell, and bring next to nothing here.
fig, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for kept in product((False, True), repeat=3):
    heard = [name for name, on in zip(TEACHERS, kept, strict=True) if on]
    scores, name = [score(heard, seed) for seed in range(2)], " + ".join(heard)
    print(f"{name or 'labels only':24} top-3 {np.mean(scores):.1f} per cent")
    ax.plot(scores, [name or "labels only"] * 2, "o-", color="#0072B2")
ax.set(xlabel="top-3 accuracy on the test videos, per cent")
plt.show()
