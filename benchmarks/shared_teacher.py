"""What a shared teacher saves in a search: 5 alpha x 4 feature weights x 3 folds.

The same search with and without `teacher_cache`, CPU time on one thread, in turns. A
teacher depends on the fold but on none of the parameters searched over, so 60 fits
need 3 teachers; "best" is what the arithmetic allows if a teacher costs as much as its
student: (60 + 3) / 120. Student and teacher have the same network and take the same
number of steps. Scores must be equal in float64.

    python benchmarks/shared_teacher.py [--repeats 3]
"""

import os
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import plain_parser
from common.report import print_header, print_row
from common.timing import cpu_seconds, in_turns
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


def search(spec, data, epochs, cache, grid):
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
    seconds, _ = cpu_seconds(
        lambda: found.fit(past, y, X_future_unlabeled=future, groups=groups)
    )
    return seconds, found.cv_results_["mean_test_score"]


def compare(spec, data, epochs, grid, repeats):
    """What `search` gives in every repeat, without a cache and with one."""

    def measure(shares):
        with tempfile.TemporaryDirectory() as folder:
            return search(spec, data, epochs, folder if shares else None, grid)

    return zip(*in_turns(measure, (False, True), repeats), strict=True)


def main():
    """Run both searches in turns and print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    n_videos, epochs, grid = 16, 8, GRID
    if options.tiny:
        options.repeats, n_videos, epochs, grid = 1, 6, 1, {"alpha": [0.1, 1.0]}
    print_header(
        "network", "own teacher each, s", "shared, s", "ratio", "largest difference"
    )
    for spec in (LSTM(64), LSTM(256), FeatureMapNet(16)):
        name = type(spec).__name__
        data = clips(name, n_videos)
        own, shared = compare(spec, data, epochs, grid, options.repeats)
        seconds = [np.median([s for s, _ in found]) for found in (own, shared)]
        difference = np.abs(own[-1][1] - shared[-1][1]).max()
        cells = [f"{s:.1f}" for s in seconds]
        cells += [f"{seconds[1] / seconds[0]:.2f}", f"{difference:.1e}"]
        print_row(f"{name}({spec.hidden_size})", *cells)


if __name__ == "__main__":
    main()
