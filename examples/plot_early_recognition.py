"""
Early recognition of trimmed clips
==================================

Clips that show one action from their first step to their last have no past: to
anticipate is to name the action early, from a share of the clip. Few clips have a
label; of the others the whole clip teaches, through a teacher that has seen it.
"""

import matplotlib.pyplot as plt
import numpy as np

from skanticipate import LSTM, DistilledAnticipator, SmoothedAnticipator
from skanticipate.datasets import first_fraction
from skanticipate.plotting import ObservationRatioDisplay

N_CLASSES, N_FEATURES = 8, 16
rng = np.random.default_rng(0)
looks = rng.normal(size=(N_CLASSES, N_FEATURES))


# %%
# A clip has 15 to 40 steps, as those of JHMDB. What is done becomes clear by and by.
def film(label):
    """Features (T, d) of a clip that shows an action."""
    n_steps = rng.integers(15, 41)
    clarity = np.linspace(0.2, 1.2, n_steps)[:, None]
    noise = rng.normal(size=(n_steps, N_FEATURES))
    return clarity * looks[label] + 1.5 * noise + 0.3 * rng.normal(size=N_FEATURES)


labels = np.arange(480) % N_CLASSES
clips = [film(label) for label in labels]
train, test = clips[:320], clips[320:]
y, y_test = labels[:320].copy(), labels[320:]
y[80:] = -1  # a label on every fourth clip

# %%
# `first_fraction` cuts clips with a label and clips without alike: what is seen of
# them, and all of them, which the teacher is shown. One network answers for any share;
# here it is fitted on the first 20 %, and a second one on the whole clips.
past, whole = first_fraction(train, 0.2)
settings = {"max_epochs": 15, "batch_size": 32}
models = {"labels, first 20 %": [], "labels, whole clips": [], "and clips without": []}
for seed in range(3):
    seen = y >= 0
    student = SmoothedAnticipator(LSTM(32), **settings, random_state=seed)
    models["labels, first 20 %"].append(student.fit(past[seen], y[seen]))
    other = SmoothedAnticipator(LSTM(32), **settings, random_state=seed)
    models["labels, whole clips"].append(other.fit(whole[seen], y[seen]))
    distilled = DistilledAnticipator(LSTM(32), **settings, random_state=seed)
    models["and clips without"].append(distilled.fit(past, y, whole))

# %%
# Accuracy over the share of the test clips that is seen; the bands are a standard
# deviation over three seeds.
display = ObservationRatioDisplay.from_estimator(models, test, y_test)
print(display.to_markdown(baseline="labels, first 20 %"))
display.ax_.axhline(100 / N_CLASSES, color="0.6", linestyle=":")
display.ax_.set_title("Early recognition; dotted: chance")
plt.show()
