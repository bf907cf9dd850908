"""What a shared teacher saves in a search: 5 alpha x 4 feature weights x 3 folds.

The same search with and without `teacher_cache`, CPU time on one thread, in turns. A
teacher depends on the fold but on none of the parameters searched over, so 60 fits
need 3 teachers; "best" is what the arithmetic allows if a teacher costs as much as its
student: (60 + 3) / 120. Student and teacher have the same network and take the same
number of steps. Scores must be equal in float64.

    python benchmarks/shared_teacher.py [--repeats 3]
"""

import argparse
import os
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold

from skanticipate import (
    LSTM,
    DistilledAnticipator,
    FeatureMapNet,
    SemiSupervisedSplit,
)
from skanticipate.datasets import make_kitchen

GRID = {
    "alpha": [0.05, 0.1, 0.2, 0.5, 1.0],
    "feature_weight": [0.05, 0.1, 0.5, 1.0],
}


def clips(network, n_videos):
    """Pairs of past and future in float64, a part of them without label."""
    kitchen = make_kitchen(
        n_videos, n_steps=8, unlabeled_fraction=0.5, n_features=24, random_state=0
    )
    pair = [kitchen.X_past.astype(float), kitchen.X_future.astype(float)]
    if network == "FeatureMapNet":  # 8 steps of 2 x 3 places of 4 channels
        pair = [x.reshape(len(x), 8, 2, 3, 4) for x in pair]
    return *pair, kitchen.y, kitchen.groups


def search(spec, data, epochs, cache, grid=GRID):
    """CPU seconds of a search, and its scores."""
    past, future, y, groups = data
    classes = np.unique(y[y >= 0])
    model = DistilledAnticipator(
        spec, max_epochs=epochs, batch_size=64, teacher_cache=cache, random_state=0
    )
    found = GridSearchCV(
        model,
        grid,
        cv=SemiSupervisedSplit(GroupKFold(3)),
        scoring=make_scorer(log_loss, response_method="predict_proba", labels=classes),
        refit=False,
        error_score="raise",
    )
    model.set_params(classes=classes)
    start = time.process_time()
    found.fit(past, y, X_future_unlabeled=future, groups=groups)
    return time.process_time() - start, found.cv_results_["mean_test_score"]


def main():
    """Run both searches in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    options = parser.parse_args()
    n_videos, epochs, grid = 16, 8, GRID
    if options.tiny:
        n_videos, epochs, grid = 6, 1, {"alpha": [0.1, 1.0]}
    print("| network | own teacher each, s | shared, s | ratio | largest difference |")
    print("|---|---|---|---|---|")
    for spec in (LSTM(64), LSTM(256), FeatureMapNet(16)):
        name = f"{type(spec).__name__}({spec.hidden_size})"
        data = clips(type(spec).__name__, n_videos)
        times = {"own": [], "shared": []}
        for _ in range(1 if options.tiny else options.repeats):
            seconds, own = search(spec, data, epochs, None, grid)
            times["own"].append(seconds)
            with tempfile.TemporaryDirectory() as folder:
                seconds, shared = search(spec, data, epochs, folder, grid)
            times["shared"].append(seconds)
        own_s, shared_s = (np.median(times[kind]) for kind in times)
        difference = np.abs(own - shared).max()
        print(
            f"| {name} | {own_s:.1f} | {shared_s:.1f} | {shared_s / own_s:.2f} "
            f"| {difference:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
