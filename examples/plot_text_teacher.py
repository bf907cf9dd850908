"""
A teacher that has read a lot
=============================

What people do next can often be told from the list of what they did before, with no
picture at all. Such lists are cheap: recipes, transcripts, annotations of videos that
we have not got. A text teacher reads them; then it tells a student, who sees features
only, what it expects after each list of the student's own training videos. How much
must it have read to be of use? (Synthetic data.)
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator

from skanticipate import MLP, DistilledAnticipator, HistoryTeacher, fit_many
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import top_k_scorer

# %%
# Videos 0-59 are the student's, and the labels to anticipate are known in the first ten
# only. Of all of them we know what was done before each clip (``past_actions``). Videos
# 60-119 are the test. Of the others, the student never sees anything: their lists of
# actions are what the teacher reads.
kitchen = make_kitchen(200, random_state=0)
train, test = kitchen.groups < 60, (kitchen.groups >= 60) & (kitchen.groups < 120)
y = np.where(kitchen.groups < 10, kitchen.y, -1)[train]
histories = kitchen.past_actions[train]
names = {label: " ".join(pair) for label, pair in kitchen.actions.items()}
read = [names.get(label, "...") for label in kitchen.past_actions[1000]]
print("a list:", ", ".join(read), "-> next:", names[kitchen.y[1000]])


# %%
# ``FrozenEstimator`` says that the teacher is used as it is; without it, it would be
# fitted anew on the labelled rows of the student. Students of all kinds take 300 steps.
def teacher_of(n_lists):
    """Return a teacher that has read the lists of so many videos."""
    rows = (kitchen.groups >= 120) & (kitchen.groups < 120 + n_lists)
    reader = HistoryTeacher(kitchen.actions, n_networks=1, max_epochs=5, random_state=0)
    lists = kitchen.past_actions[rows], kitchen.y[rows]
    return FrozenEstimator(reader.fit(*lists, groups=kitchen.groups[rows]))


def scores(rows, **options):
    """Top-3 accuracy on the test videos, in per cent, of three students."""
    epochs = round(300 / np.ceil(rows.sum() / 128))
    students = [
        DistilledAnticipator(
            MLP(64),
            classes=sorted(names),
            max_epochs=epochs,
            random_state=seed,
            **options,
        )
        for seed in range(3)
    ]
    given = {"past_actions": histories[rows]} if options else {}
    fitted = fit_many(students, kitchen.X_past[train][rows], y[rows], **given)
    top_3 = top_k_scorer(3)
    return [100 * top_3(m, kitchen.X_past[test], kitchen.y[test]) for m in fitted]


labels_only = scores(y >= 0)
counts = (5, 20, 80)
has_list = (histories >= 0).any(axis=1)  # not before the first action of a video
taught = [
    scores(has_list | (y >= 0), text_teacher=teacher_of(n), text_weight=3.0)
    for n in counts
]
print(f"labels only             top-3 {np.mean(labels_only):.1f} per cent")
for n, found in zip(counts, taught, strict=True):
    print(f"teacher of {n:3} lists    top-3 {np.mean(found):.1f} per cent")

# %%
# A teacher that has read little does harm: its student believes it, in sixty videos,
# and forgets what ten labelled ones told. One that has read more than the student has
# labels helps. The rule of thumb: a text teacher is worth what it knows beyond the
# labels. Trained on the labelled rows alone it does harm as well here.
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.axhspan(min(labels_only), max(labels_only), color="0.85", label="labels only")
ax.plot(counts, np.mean(taught, axis=1), "o-", color="#0072B2", label="text teacher")
ax.plot(counts, taught, "o", color="#0072B2", alpha=0.4, markersize=4)
ax.set_xscale("log")
ax.set_xticks(counts, counts)
ax.set_xticks([], minor=True)
ax.set(xlabel="lists of actions that the teacher has read")
ax.set(ylabel="top-3 accuracy of the student, per cent")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
plt.show()
