"""
Unlabelled clips: what video without labels is good for
=======================================================

Filming is cheap, naming actions is not. Twelve videos are annotated; of the others we
only know what was seen before each action and what was seen during it. A teacher learns
from the annotated ones to name an action that it sees. It then names those of the other
videos for a student who sees the past only. We add more and more such videos. (The data
are synthetic and made to show the effect.)
"""

import matplotlib.pyplot as plt
import numpy as np

from skanticipate import MLP, DistilledAnticipator, fit_many
from skanticipate.datasets import make_kitchen

# %%
# A row is unlabelled where its label is -1 (texts: None or ""). It needs something that
# a teacher may see, here the clip of the action itself, ``X_future``; a row of NaN says
# that there is none.
N_ANNOTATED, N_TEST = 12, 60
kitchen = make_kitchen(160, random_state=0)
test = kitchen.groups >= 160 - N_TEST
X_test, y_test = kitchen.X_past[test], kitchen.y[test]
y = np.where(kitchen.groups < N_ANNOTATED, kitchen.y, -1)
print(f"{(y >= 0).sum()} labelled clips, {len(y_test)} to test on")

# %%
# More clips are more steps in each epoch, and more steps alone can make a better
# student. So we fix the number of steps, 300, and let the epochs follow from it. Half
# of each batch is unlabelled (``unlabeled_fraction``). ``fit_many`` trains three seeds
# as one.
N_STEPS, BATCH = 300, 128


def accuracies(n_videos, teacher_sees):
    """Accuracy on the test videos, in per cent, of three students of so many videos."""
    rows = kitchen.groups < n_videos
    students = [
        DistilledAnticipator(
            MLP(64),
            init_from_teacher=False,
            classes=sorted(kitchen.actions),
            batch_size=BATCH,
            max_epochs=round(N_STEPS / np.ceil(rows.sum() / BATCH)),
            random_state=seed,
        )
        for seed in range(3)
    ]
    fitted = fit_many(students, kitchen.X_past[rows], y[rows], teacher_sees[rows])
    return [100 * model.score(X_test, y_test) for model in fitted]


# %%
# The control asks whether the *future* matters, or any teacher will do: its teacher
# sees the same past clips as the student. That is self-training, and it can only repeat
# what the student could find out alone.
COUNTS = 12, 20, 40, 100
scores = {
    name: np.array([accuracies(n, seen) for n in COUNTS])
    for name, seen in {
        "teacher sees the future": kitchen.X_future,
        "teacher sees the past": kitchen.X_past,
    }.items()
}
for name, table in scores.items():
    print(f"{name:24}", *(f"{mean:5.1f}" for mean in table.mean(axis=1)))

# %%
# With the future, the student gets better as unlabelled videos are added: the teacher
# has seen how each of them went on. A handful brings no more than the control: half of
# each batch is then drawn from the same few clips, some of them named wrongly. Without
# the future the first few bring two points, and all others nothing. Small dots are
# single seeds.
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
unlabelled = 15 * (np.array(COUNTS) - N_ANNOTATED)
for (name, table), style in zip(scores.items(), ("o-", "s--"), strict=True):
    (line,) = ax.plot(unlabelled, table.mean(axis=1), style, label=name)
    ax.plot(unlabelled, table, style[0], color=line.get_color(), alpha=0.4, ms=4)
ax.set(xlabel="unlabelled clips", ylabel="accuracy on test videos, per cent")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
ax.grid(axis="y", color="0.9")
plt.show()
