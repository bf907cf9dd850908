"""
A grid search whose candidates are trained together
===================================================

Networks on precomputed features are small, and small networks spend most of their time
in overhead. A batched search trains all candidates of all folds as one, and pays for it
once. It gives what scikit-learn's ``GridSearchCV`` gives, sooner. We run both and
compare.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import MLP, BatchedGridSearchCV, SmoothedAnticipator, VerbNounPrior
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import top_k_scorer

# %%
# Twelve candidates by three folds of whole videos: 36 fits of a scaler and a network.
# What differs between them (rates, smoothing, seeds, even a dropout) may be searched;
# candidates of another architecture form a stack of their own.
kitchen = make_kitchen(20, random_state=0)
student = SmoothedAnticipator(
    MLP(32), prior=VerbNounPrior(kitchen.actions), max_epochs=50, random_state=0
)
model = make_pipeline(StandardScaler(), student)
grid = {
    "smoothedanticipator__lr": [1e-3, 3e-3, 1e-2],
    "smoothedanticipator__smoothing": [0.0, 0.1, 0.2, 0.4],
}
options = {"scoring": top_k_scorer(3), "cv": GroupKFold(3)}

# %%
searches, seconds = {}, {}
for kind in (GridSearchCV, BatchedGridSearchCV):
    start = time.perf_counter()
    search = kind(model, grid, **options)
    search.fit(kitchen.X_past, kitchen.y, groups=kitchen.groups)
    searches[kind.__name__] = search
    seconds[kind.__name__] = time.perf_counter() - start

results = {name: search.cv_results_ for name, search in searches.items()}
means = {name: 100 * found["mean_test_score"] for name, found in results.items()}
one, batched = means.values()
print({name: f"{t:.1f} s" for name, t in seconds.items()})
print(f"largest difference of a mean score: {np.abs(one - batched).max():.2g} points")
print("same best candidate:", np.argmax(one) == np.argmax(batched))

# %%
# How much is gained depends on the sizes: nothing where a single network keeps the
# processor busy, most where there are many small ones. All of ``cv_results_`` is as
# scikit-learn makes it. On the left are the seconds of both searches, on the right what
# both found: the darker, the better the candidate; the frame is the best one.
fig, (left, right) = plt.subplots(
    1, 2, figsize=(7, 3.6), layout="constrained", width_ratios=(2, 3)
)
bars = left.bar(["one by\none", "batched"], list(seconds.values()), color="0.6")
bars[1].set(color="#0072B2", hatch="//", edgecolor="white")
left.bar_label(bars, fmt="%.1f s")
left.set(ylabel="seconds for 36 fits")
left.spines[["top", "right"]].set_visible(False)

rates, weights = grid.values()
table = batched.reshape(len(rates), len(weights))  # in the order of ParameterGrid
image = right.imshow(table, cmap="Blues")
for (i, j), score in np.ndenumerate(table):
    dark = score > (table.min() + table.max()) / 2
    options = {"ha": "center", "va": "center", "color": "w" if dark else "k"}
    right.text(j, i, f"{score:.0f}", **options)
i, j = np.unravel_index(table.argmax(), table.shape)
right.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, ec="#D55E00", lw=3))
right.set_xticks(range(len(weights)), weights)
right.set_yticks(range(len(rates)), rates)
right.set(xlabel="smoothing", ylabel="learning rate", title="top-3 accuracy, per cent")
plt.show()
