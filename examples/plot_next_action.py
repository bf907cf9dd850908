"""
Next action from past actions
=============================

Often the past is known as labels: a recogniser, or an annotator, named the last few
actions. Here a recurrent network reads them. We look at what counts as past, at the
table that a transition prior teaches from, and at what it changes for single clips.
"""

import matplotlib.pyplot as plt
import numpy as np

from skanticipate import (
    LSTM,
    CosineSchedule,
    HistoryEncoder,
    SmoothedAnticipator,
    TransitionPrior,
    VerbNounHead,
)
from skanticipate.datasets import label_history, make_kitchen
from skanticipate.metrics import top_k_accuracy
from skanticipate.plotting import PriorDisplay, TopPredictionsDisplay

# %%
# Segments of 80 synthetic videos: who did what, from which frame to which.
kitchen = make_kitchen(80, random_state=0)
table, actions = kitchen.segments, kitchen.actions
train, test = kitchen.groups < 60, kitchen.groups >= 60
print({name: column[:3].tolist() for name, column in table.items()})

# %%
# The rule decides what the network may read: segments that had ended a second before
# the action starts, or all that had started by then. The second reads labels of actions
# that are still going on, which only a good recogniser can give.


def fit(rule, prior=None, smoothing=0.0):
    """Train on the histories of a rule, score the test videos."""
    history = label_history(table, history=5, anticipation_time=1.0, rule=rule)
    codes = HistoryEncoder(actions).fit_transform(history)  # (n, 5, 3)
    model = SmoothedAnticipator(
        LSTM(64, cell="gru", embedding=16, dropout=0.3, head=VerbNounHead(actions)),
        prior=prior,
        smoothing=smoothing,
        max_epochs=15,
        batch_size=64,
        lr_schedule=CosineSchedule(),
        random_state=0,
    )
    model.fit(codes[train], table.action[train], y_past=history[train, -1])
    proba = model.predict_proba(codes[test])
    score = top_k_accuracy(table.action[test], proba, k=3, classes=model.classes_)
    return model, 100 * score, proba


scores = {rule: fit(rule)[1] for rule in ("ended", "started", "all")}

# %%
# A transition prior knows what follows the action seen last, from the training videos.
# It depends on the clip, not on its label.
_, _, hard_proba = fit("ended")
model, score, proba = fit("ended", TransitionPrior(actions), smoothing=0.4)
scores["ended, transition prior"] = score
for name, value in scores.items():
    print(f"{name:24} top-3 {value:.1f} per cent")

# %%
# The table of the prior: a row is the action seen last, the dark cells of it are what
# mostly follows. What has been washed is peeled or cut, what was taken is put.
names = {label: " ".join(pair) for label, pair in actions.items()}
shown = np.unique(table.action)[:12].tolist()
display = PriorDisplay.from_prior(model.prior_, labels=shown)
display.ax_.set_yticks(range(len(shown)), [names[label] for label in shown])
display.ax_.set_xticks(range(len(names)), names.values(), rotation=90)
display.ax_.set(title="What follows the action seen last", xlabel="", ylabel="")
display.figure_.set_size_inches(6.5, 4.2)

# %%
# Two test clips: the ten most probable actions, and the rank of the true one, which in
# the second clip is far beyond them.
TopPredictionsDisplay.from_predictions(
    table.action[test],
    {"hard labels": hard_proba, "transition prior": proba},
    model.classes_,
    clip=[17, 5],
    class_names=actions,
)
plt.show()
