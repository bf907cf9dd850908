"""The weakly aligned loss on content that has moved: a synthetic task.

`make_drifting_maps`: the things that tell the class stand at other places in the
future than in the past, and in the past something hides which they are. Every student
starts from the weights of its teacher (but for the last row) and takes the same number
of steps; all feature losses weigh 10. Accuracy on test clips, per cent, over seeds;
"gain" is paired by seed, against the student that only starts from its teacher.

    python benchmarks/drifting_maps.py [--seeds 10]
"""

import os
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import plain_parser
from common.report import print_row
from torch import nn
from torch.nn.utils import skip_init

from skanticipate import DistilledAnticipator, NetworkSpec, Output, RecognitionTeacher
from skanticipate.datasets import make_drifting_maps
from skanticipate.networks.base import initialize

STEPS, BATCH = 400, 84


class TokenNet(NetworkSpec):
    """A small network on each place of a map, and the maximum over the places."""

    uses_global_rng = False

    def build(self, input_shape, n_classes, *, generator):
        """Build the network; see `NetworkSpec.build`."""
        return initialize(_TokenNet(input_shape[-1], n_classes), generator)


class _TokenNet(nn.Module):
    def __init__(self, d, n_classes):
        super().__init__()
        self.first = skip_init(nn.Linear, d, 2 * d)
        self.second = skip_init(nn.Linear, 2 * d, d)
        self.norm = nn.BatchNorm1d(d)
        self.classifier = skip_init(nn.Linear, d, n_classes)

    def forward(self, clips):
        tokens = self.second(self.first(clips.flatten(1, -2)).relu())  # (B, N, d)
        features = self.norm(tokens.mT).mT
        logits = self.classifier(features.relu().amax(1))
        return Output(logits.unsqueeze(1), features)


# What a row changes; "soft" says whether unlabelled rows learn soft targets.
ROWS = {
    "start only": {"soft": False, "feature_weight": 0.0},
    "+ direct": {"soft": False, "alignment": "direct"},
    "+ weak": {"soft": False, "alignment": "weak"},
    "+ pooled": {"soft": False, "alignment": "pooled"},
    "soft targets": {"soft": True, "feature_weight": 0.0},
    "labels only, random start": {
        "soft": False,
        "feature_weight": 0.0,
        "init_from_teacher": False,
    },
    "+ weak, random start": {"soft": False, "init_from_teacher": False},
}


def accuracy(task, row, seed, steps=STEPS):
    """Fit a row of the table and score it on the test clips, per cent."""
    setting = {"feature_weight": 10.0, "init_from_teacher": True, **ROWS[row]}
    soft = setting.pop("soft")
    n, n_classes = len(task.y), len(np.unique(task.y_test))
    # Unlabelled rows from which nothing is learnt are dropped.
    used = n if soft or setting["feature_weight"] else (task.y >= 0).sum()
    training = {"batch_size": BATCH, "lr": 2e-3}
    teacher = RecognitionTeacher(TokenNet(), max_epochs=steps, **training)
    model = DistilledAnticipator(
        TokenNet(),
        teacher=teacher,
        smoothing=0.0,
        classes=np.arange(n_classes),
        max_epochs=round(steps / np.ceil(used / BATCH)),
        random_state=seed,
        **training,
        **setting,
    )
    silent = np.full((n, n_classes), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of random starts, and of rows without signal
        model.fit(
            task.X_past,
            task.y,
            task.X_future,
            teacher_proba=None if soft else silent,
        )
    return 100 * model.score(task.X_test, task.y_test)


def main():
    """Run every row with every seed and print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    sizes, steps = {}, STEPS
    if options.tiny:
        options.seeds, sizes, steps = 2, {"n_unlabeled": 100, "n_test": 50}, 10
    scores = {}
    for drift in (0, 2):
        for seed in range(options.seeds):
            task = make_drifting_maps(drift=drift, random_state=seed, **sizes)
            for row in ROWS:
                scores.setdefault((row, drift), []).append(
                    accuracy(task, row, seed, steps)
                )
    print("| | no drift | drift 2 |\n|---|---|---|")
    for row in ROWS:
        print_row(row, *(cell(scores, row, drift) for drift in (0, 2)))


def cell(scores, row, drift):
    """Mean, and gain over the student that only starts from its teacher."""
    own = np.array(scores[row, drift])
    base = "labels only, random start" if "random" in row else "start only"
    gain = own - np.array(scores[base, drift])
    if not gain.any():
        return f"{own.mean():.1f}"
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    return f"{own.mean():.1f} ({gain.mean():+.1f} ± {error:.1f})"


if __name__ == "__main__":
    main()
