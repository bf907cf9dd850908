"""What a shared teacher saves in a search: 5 alpha x 4 feature weights x 3 folds.

The same search with and without `teacher_cache`, CPU time on one thread, in turns. A
teacher depends on the fold but on none of the parameters searched over, so 60 fits
need 3 teachers; "best" is what the arithmetic allows if a teacher costs as much as its
student: (60 + 3) / 120. Student and teacher have the same network and take the same
number of steps. Scores must be equal in float64.

    python benchmarks/shared_teacher.py [--repeats 3]
"""

import os
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import plain_parser
from common.distilled import GRID, past_and_future, search
from common.report import print_header, print_row
from common.timing import cpu_seconds, in_turns
from sklearn.model_selection import GridSearchCV

from skanticipate import LSTM, DistilledAnticipator, FeatureMapNet


def clips(network, n_videos):
    """Pairs of past and future in float64, a part of them without label."""
    data = past_and_future(n_videos)
    for name in ("past", "future"):
        data[name] = data[name].astype(float)
        if network == "FeatureMapNet":  # 8 steps of 2 x 3 places of 4 channels
            data[name] = data[name].reshape(-1, 8, 2, 3, 4)
    return data


def compare(spec, data, epochs, grid, repeats):
    """Seconds and scores of every repeat, without a cache and with one."""
    model = DistilledAnticipator(spec, max_epochs=epochs, batch_size=64, random_state=0)

    def measure(shares):
        call = partial(search, GridSearchCV, model, grid, **data, cached=shares)
        seconds, found = cpu_seconds(call)
        return seconds, found.cv_results_["mean_test_score"]

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
