"""
Long fits: who is training, how far, and how to go on
=====================================================

A fit with a teacher is two fits, and a long one may be ended by a power cut. Callbacks
of scikit-learn 1.9 tell what goes on, in a bar, a csv file, TensorBoard or MLflow; a
checkpoint lets the same fit go on where it was.
"""

import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from skanticipate import LSTM, DistilledAnticipator
from skanticipate.datasets import make_kitchen

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
kitchen = make_kitchen(60, n_steps=4, unlabeled_fraction=0.5, random_state=0)
given = kitchen.X_past, kitchen.y, kitchen.X_future


def new_student(**options):
    """Return the student of this page, unfitted."""
    return DistilledAnticipator(LSTM(32), max_epochs=20, random_state=0, **options)


# %%
# ``verbose=1`` prints a line for each epoch of teacher and student. A bar is
# ``model.set_callbacks(ProgressBar())``; scikit-learn's ``ScoringMonitor`` works alike.
#
# Any other place to write to is a callback of a few lines. ``fitted_estimator`` is the
# model of the moment, and the last record of its ``history_`` has all figures of the
# epoch. What has ``max_propagation_depth`` is handed on to the teacher, whose epochs
# stand below a task that came from "teacher"; the student's stand below "student".
#
# For TensorBoard the line that writes is ``writer.add_scalars(who, figures, epoch)``,
# for MLflow ``mlflow.log_metrics(figures, step=epoch)``.
class ToCsv:
    """Writes a line for each epoch of teacher and student."""

    max_propagation_depth = 1

    def __init__(self, file, last_epoch=None):
        self.file, self.last_epoch = file, last_epoch

    def setup(self, estimator, context):
        self.file.write_text("who,epoch,loss\n")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name != "epoch":
            return
        who = context.parent.source_task_name or context.parent.task_name
        figures = fitted_estimator.history_[-1]
        with open(self.file, "a", newline="") as file:
            csv.writer(file).writerow([who, figures["epoch"], figures["loss"]])
        if who == "student" and figures["epoch"] == self.last_epoch:
            raise SystemExit("a power cut")

    def teardown(self, estimator, context):
        pass


# %%
# A power cut after twelve epochs of the student. The same fit, started again in
# whatever process, trains what is missing in the folder of checkpoints.
model = new_student(checkpoint=path / "checkpoints")
try:
    model.set_callbacks(ToCsv(path / "before.csv", last_epoch=12)).fit(*given)
except SystemExit as cut:
    print(f"ended by {cut}")
model.set_callbacks(ToCsv(path / "after.csv")).fit(*given)
answers = [m.predict_proba(given[0]) for m in (model, new_student().fit(*given))]
print("same answers as without a cut:", (answers[0] == answers[1]).all())

# %%
# What stands in the two files. After the cut the teacher is not trained again, and the
# student goes on from its last checkpoint. These are written so seldom that they take
# no more than three hundredths of the time: some epochs may be done twice.
fig, axes = plt.subplots(1, 2, figsize=(6.5, 3.5), layout="constrained", sharey=True)
for when, style in (("before", "o-"), ("after", "s--")):
    lines = list(csv.DictReader((path / f"{when}.csv").read_text().splitlines()))
    for ax, who in zip(axes, ("teacher", "student"), strict=True):
        own = [line for line in lines if line["who"] == who]
        epochs = [int(line["epoch"]) for line in own]
        losses = [float(line["loss"]) for line in own]
        ax.plot(epochs, losses, style, label=f"{when} the cut", markersize=4)
        ax.set(xlabel=f"epoch of the {who}")
        print(f"{when} the cut: {len(own)} epochs of the {who}")
axes[0].set_ylabel("training loss")
handles, _ = axes[1].get_legend_handles_labels()
fig.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
folder.cleanup()
plt.show()
