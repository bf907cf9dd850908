"""
Where does it look? Maps of student and teacher
===============================================

A student of maps can learn from its teacher's *map* too, not from its answers only. But
what it needs may lie elsewhere in the past clip than in the future one. The weakly
aligned loss of Tran et al. lets the student find the places by itself; the direct one
compares position by position. (Synthetic maps, made for this.)
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from skanticipate import DistilledAnticipator, FeatureMapNet
from skanticipate.datasets import make_drifting_maps
from skanticipate.plotting import AttentionMapDisplay

# %%
# Maps of 5 x 5 positions. Three of them show the class; in the past a nuisance covers
# them, and until the future they move. There are three labels a class.
maps = make_drifting_maps(n_unlabeled=400, n_test=400, random_state=0)
model = DistilledAnticipator(
    FeatureMapNet(32, n_blocks=0), max_epochs=40, batch_size=64, random_state=0
)
plain = clone(model).set_params(teacher=DummyClassifier(), unlabeled_fraction=0)
direct = clone(model).set_params(alignment="direct")
students = {"labels only": plain, "direct": direct, "weak": model}
for name, estimator in students.items():
    estimator.fit(maps.X_past, maps.y, maps.X_future)
    score = estimator.score(maps.X_test, maps.y_test)
    print(f"{name:12} accuracy {100 * score:.1f} per cent")


# %%
# The truth, which no network was told: positions that hold the code of a class.
def content(clip, directions):
    """Positions nearest to a class code, once some directions are taken out."""
    codes = np.concatenate([maps.class_codes, maps.background_codes])
    keep = np.eye(codes.shape[1]) - directions.T @ directions
    distances = np.linalg.norm((clip[:, :, None] - codes) @ keep, axis=-1)
    return np.argwhere(distances.argmin(axis=-1) < len(maps.class_codes))


# %%
# Each row is an unlabelled clip: two students look at its past, and the teacher at its
# future. Frames mark the content. It moves, and the bright cells of the distilled
# student need not stand where its teacher's do. The one without a teacher finds the
# places too, for there the nuisance stands out; what the other has learnt, as scores
# say, is to see through it. Strong vectors say where a network looks, not whether it
# understands. (On these maps the direct loss does nearly as well as the weak one.)
clips = 20, 22
shown = {"labels only": plain, "weak": model}
display = AttentionMapDisplay.from_estimator(
    shown, maps.X_past, maps.X_future, clip=clips
)
display.figure_.set_size_inches(7, 4)
for clip, row in zip(clips, np.reshape(display.axes_, (len(clips), -1)), strict=True):
    past_cells = content(maps.X_past[clip], maps.nuisance_directions)
    future_cells = content(maps.X_future[clip], maps.nuisance_directions[:0])
    for ax in row:
        for i, j in future_cells if ax is row[-1] else past_cells:
            frame = plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, ec="w", lw=2)
            ax.add_patch(frame)
plt.show()
