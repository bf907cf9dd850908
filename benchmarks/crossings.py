"""How many files of the library a fit goes through, and how often it changes them.

A file counts where a function of it is called between the entry and the return of
`fit`; a switch is a call into another file than that of the nearest caller of ours, so
that what scikit-learn or torch calls in between does not count. Ways are the switches
without those that come again: who reads learns each of them once. There is one epoch of
one batch: what a training repeats is counted once. A fit with futures holds another
one, that of its teacher.

    python benchmarks/crossings.py [--files]
"""

import os
import sys
import warnings
from collections import Counter

from common.arguments import plain_parser
from common.report import print_header, print_row

import skanticipate
from skanticipate import MLP, DistilledAnticipator, SmoothedAnticipator, VerbNounPrior
from skanticipate.datasets import make_kitchen

FOLDER = os.path.join(os.path.dirname(skanticipate.__file__), "")
ONE_STEP = {"max_epochs": 1, "batch_size": 10_000, "random_state": 0, "device": "cpu"}


def fits():
    """Name of a fit -> what does it."""
    full = make_kitchen(random_state=0)
    half = make_kitchen(unlabeled_fraction=0.5, random_state=0)
    smoothed = SmoothedAnticipator(
        MLP(16), prior=VerbNounPrior(full.actions), smoothing=0.2, **ONE_STEP
    )
    distilled = DistilledAnticipator(
        MLP(16), feature_weight=0.1, smoothing=0.0, **ONE_STEP
    )
    return {
        "smoothed": lambda: smoothed.fit(full.X_past, full.y),
        "distilled with futures": lambda: distilled.fit(
            half.X_past, half.y, half.X_future
        ),
    }


def crossed(fit):
    """Calls of each file, and switches from one file to another.   -> two Counters."""
    files, switches = Counter(), Counter()

    def note(frame, event, _):
        if event == "call" and (own := own_file(frame)):
            files[own] += 1
            caller = frame.f_back
            while caller is not None and not own_file(caller):
                caller = caller.f_back
            if caller is not None and own_file(caller) != own:
                switches[own_file(caller), own] += 1

    sys.setprofile(note)
    try:
        fit()
    finally:
        sys.setprofile(None)
    return files, switches


def own_file(frame):
    """File of the library that the code of a frame stands in, or ""."""
    path = frame.f_code.co_filename
    return path.removeprefix(FOLDER) if path.startswith(FOLDER) else ""


def main():
    """Print the table."""
    parser = plain_parser(__doc__)
    parser.add_argument("--files", action="store_true", help="name them, with calls")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of rows that are few
    found = {}
    for name, fit in fits().items():
        fit()  # what is imported or noted once is no part of it
        found[name] = crossed(fit)
    print_header("fit", "files", "switches", "ways", "calls")
    for name, (files, switches) in found.items():
        row = len(files), switches.total(), len(switches), files.total()
        print_row(name, *map(str, row))
    if args.files:
        for name, (files, _) in found.items():
            print(f"\n{name}:")
            print("\n".join(f"{n:6} {file}" for file, n in sorted(files.items())))


if __name__ == "__main__":
    main()
