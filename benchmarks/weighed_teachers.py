"""Three text teachers as one: their mean, their maximum, or weighed by the student.

On `make_kitchen`, another one for each seed: two thirds of the videos train, the rest
is scored. The teachers are `HistoryTeacher`s of unlike settings, cross-fitted; the
student is an MLP. Differences are those to the mean of logarithms, paired by seed, with
their standard error over seeds. "largest share" is the mean over rows of the largest
weight that the attention gives a member in its last epoch (a third: all alike).

    python benchmarks/weighed_teachers.py [--seeds 5]
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common.arguments import plain_parser
from common.report import print_header, print_row
from sklearn.metrics import log_loss
from torch.nn.modules.module import register_module_forward_hook

from skanticipate import MLP, DistilledAnticipator, HistoryTeacher, TeacherEnsemble
from skanticipate.datasets import make_kitchen
from skanticipate.metrics import top_k_accuracy
from skanticipate.terms.attended import TeacherAttention

AVERAGES = ("log_proba", "proba", "max", "attention")
FIGURES = ("top-1", "top-5", "log loss")


def members(actions):
    """Teachers of unlike strength."""
    return [
        HistoryTeacher(None, order=1, hidden_size=16, n_networks=1, max_epochs=3),
        HistoryTeacher(actions, order=2, hidden_size=32, n_networks=1),
        HistoryTeacher(actions, n_networks=1),
    ]


def score(average, seed, n_videos, epochs):
    """Figures of a student, and the shares (n, M) of its teachers in the last epoch."""
    kitchen = make_kitchen(n_videos, random_state=seed)
    training = kitchen.groups < np.unique(kitchen.groups)[2 * n_videos // 3]
    teacher = None
    if average is not None:
        teacher = TeacherEnsemble(members(kitchen.actions), average=average)
    model = DistilledAnticipator(
        MLP(64),
        text_teacher=teacher,
        cross_fit=2,
        smoothing=0.0,
        max_epochs=epochs,
        classes=range(20),
        random_state=seed,
    )
    given = {} if average is None else {"past_actions": kitchen.past_actions[training]}
    shares = []

    def note(module, inputs, output):
        if isinstance(module, TeacherAttention):
            shares.append(output.detach().numpy())

    hook = register_module_forward_hook(note)
    model.fit(
        kitchen.X_past[training],
        kitchen.y[training],
        groups=kitchen.groups[training],
        **given,
    )
    hook.remove()
    proba, y = model.predict_proba(kitchen.X_past[~training]), kitchen.y[~training]
    top = [100 * top_k_accuracy(y, proba, k=k) for k in (1, 5)]
    n_steps = int(np.ceil(training.sum() / model.batch_size))
    return (*top, log_loss(y, proba, labels=range(20))), shares[-n_steps:]


def main():
    """Fit a student by each average and print the differences."""
    parser = plain_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    n_videos, epochs = 90, 50
    if options.tiny:
        options.seeds, n_videos, epochs = 2, 12, 1
    found = {}
    print_header("average", *FIGURES, "largest share", "mean shares")
    for average in (*AVERAGES, None):
        runs = [score(average, s, n_videos, epochs) for s in range(options.seeds)]
        found[average] = np.array([figures for figures, _ in runs])
        apart = found[average] - found["log_proba"]
        error = apart.std(axis=0, ddof=1) / np.sqrt(len(runs))
        cells = [
            f"{mean:.2f}, {gain:+.2f} ({se:.2f})"
            for mean, gain, se in zip(
                found[average].mean(axis=0), apart.mean(axis=0), error, strict=True
            )
        ]
        shares = [share for _, last in runs for share in last]
        if shares:
            shares = np.concatenate(shares)
            cells.append(f"{shares.max(axis=1).mean():.2f}")
            cells.append(" / ".join(f"{share:.2f}" for share in shares.mean(axis=0)))
        print_row(str(average), *cells)


if __name__ == "__main__":
    main()
