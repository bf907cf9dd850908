"""A comparison from the command line: choose and store, or read; measure; tables."""

import json
import re
import warnings
from pathlib import Path

import numpy as np

from common.arguments import data_parser, parse_with_data
from common.arms import TAUGHT
from common.certainty import holm, p_value
from common.fair import FULL, Budget, choose, measure
from common.gains import gain_of
from common.report import OUTPUT, print_header, print_row
from common.scores import FIGURES, certainty, scores
from common.tasks import load_task

SETTINGS = Path(__file__).parent.parent / "settings"
N_SEEDS = 5
PLAIN = "labels only", "labels only, by accuracy"  # opponents of every row
COLUMNS = (
    "accuracy over plain",
    "log loss over plain",
    "accuracy over control, or without maps",
    "log loss over the same",
)
DIGITS = {"top-1": 1, "top-5": 1, "class recall": 1, "log loss": 3, "Brier": 3}


def run_sets(doc, sets, shares):
    """Run what the command line asks for: choose and store, or read; then measure."""
    args = arguments(doc, sets, shares)
    warnings.simplefilter("ignore")  # classes without a label, odd counts of classes
    if args.settings:
        plans = json.loads(args.settings.read_text())
        seeds, shares = args.seeds or plans["seeds"], plans["shares"]
        task = load_task(plans["set"], args.data)
        for share, chosen in shares.items():
            show(plans["set"], share, task, measured(task, float(share), chosen, seeds))
        return
    task, budget, seeds = load_task(args.set, args.data), budget_of(args), args.seeds
    for share in args.shares:
        with_maps, parts = share in args.map_shares, range(task.n_parts)
        chosen = [choose(task, part, share, budget, with_maps) for part in parts]
        if not args.tiny:
            store(args.set, budget, seeds or N_SEEDS, f"{share:g}", chosen)
        found = measured(task, share, chosen, seeds or N_SEEDS)
        show(args.set, f"{share:g}", task, found)


def arguments(doc, sets, shares):
    """What is run."""
    parser = data_parser(doc)
    parser.add_argument("--set", choices=sets, default=sets[0])
    parser.add_argument("--shares", type=float, nargs="+", default=shares)
    parser.add_argument("--map-shares", type=float, nargs="*", default=[0.2])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--inner", type=int, default=2)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--max-periods", type=int, default=20)
    parser.add_argument("--settings", type=Path, help="run a stored table again")
    tiny = {"set": "kitchen", "shares": [0.2], "seeds": 2, "settings": None}
    return parse_with_data(parser, tiny)


def budget_of(args):
    """How much is looked at."""
    if args.tiny:
        return Budget((0.0,), (0.0,), 3, 1, 1, (1.0,))
    return Budget(max_periods=args.max_periods, n_inner=args.inner, n_draws=args.draws)


def store(name, budget, seeds, share, chosen):
    """Write the choices down, before anything is measured, beside other shares."""
    SETTINGS.mkdir(exist_ok=True)
    file, shares = SETTINGS / f"{name}.json", {}
    if file.exists():
        shares = json.loads(file.read_text())["shares"]
    plans = {"set": name, "seeds": seeds, "budget": budget._asdict()}
    plans["shares"] = shares | {share: chosen}
    text = json.dumps(plans, indent=1)
    # What holds nothing else stands on one line.
    text = re.sub(r"[{[][^][{}]*[]}]", lambda m: " ".join(m[0].split()), text)
    file.write_text(text + "\n")


def measured(task, share, chosen, n_seeds):
    """Answers for all clips, each by the part that tests it.   -> {arm: (S, n, C)}."""
    found = {}
    for part, plan in enumerate(chosen):
        answers = measure(task, part, share, plan, range(n_seeds))
        held = task.part(part)[1]
        for name, proba in answers.items():
            shape = n_seeds, len(task.y), proba.shape[-1]
            found.setdefault(name, np.zeros(shape, np.float32))[:, held] = proba
    return found


def show(name, share, task, found):
    """Print the table, and keep the answers for later questions."""
    OUTPUT.mkdir(exist_ok=True)
    np.savez_compressed(OUTPUT / f"fair_{name}_{share}.npz", y=task.y, **found)
    print(f"\n### {name}, {float(share):.0%} of the labels, {len(task.y)} clips\n")
    print_table(found, task.y, task.classes, task.groups)


def print_table(found, y, classes, groups):
    """Figures of every arm, and paired differences to what it has to beat.

    A star: of all differences of the table this one is not due to chance, at 5 % by
    Holm's correction.
    """
    known = {arm: scores(proba, y, classes) for arm, proba in found.items()}
    sure = {arm: certainty(proba, y, classes) for arm, proba in found.items()}
    shown = [figure for figure in FIGURES if len(classes) > 5 or figure != "top-5"]
    gains = {}
    for arm in found:
        for column, figure, scale, other in opponents(arm):
            pair = known[arm][figure], known[other][figure]
            gains[arm, column] = gain_of(*pair, groups, scale=scale)
    adjusted = holm([p_value(gain) for gain in gains.values()])
    stars = {
        key: "*" if p < 0.05 else "" for key, p in zip(gains, adjusted, strict=True)
    }
    print_header("row", *shown, "calibration error", *COLUMNS)
    for arm, figures in known.items():
        cells = [f"{FIGURES[f] * figures[f].mean():.{DIGITS[f]}f}" for f in shown]
        cells.append(f"{100 * sure[arm][2].mean():.1f}")
        for column in COLUMNS:
            gain, digits = gains.get((arm, column)), 2 if "loss" in column else 1
            cells.append(f"{gain:.{digits}f}{stars[arm, column]}" if gain else "")
        print_row(arm, *cells)


def opponents(arm):
    """What a row is compared with: (column, figure, scale, other row).

    Plain students are two: accuracies are compared with that of the one chosen by
    accuracy, log losses with that of the one chosen by log loss. A taught student is
    compared with its control, one with a loss of maps with that without.
    """
    if arm in PLAIN or arm.startswith("("):
        return []
    found = [
        (COLUMNS[0], "top-1", 100, PLAIN[1]),
        (COLUMNS[1], "log loss", 1, PLAIN[0]),
    ]
    control = f"{arm}, teacher of the past"
    if control in TAUGHT:
        other = control
    elif arm.startswith(f"{FULL}, ") and arm not in TAUGHT:
        other = FULL
    else:
        return found
    return [
        *found,
        (COLUMNS[2], "top-1", 100, other),
        (COLUMNS[3], "log loss", 1, other),
    ]
