"""Whether a default hurts: `DistilledAnticipator` and others with nothing chosen.

Every set at every share of its labels, scaled clips, all parameters at their defaults
but dropout and smoothing. "past" are sequences as they are (an LSTM by default),
"means" the mean of each over its steps (an MLP), "grid" maps (a `FeatureMapNet`).
"labels only" is `SmoothedAnticipator` with the same parameters. Answers of each fit are
kept in `output/defaults`, so that a run goes on where another stopped; the table is of
all that is there.

    python benchmarks/defaults.py --data FOLDER --sets gtea jaad --shares 0.2 1
    python benchmarks/defaults.py --data FOLDER --table
"""

import os
import warnings
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.answers import proba_of
from common.arguments import data_parser, parse_with_data
from common.certainty import holm, p_value
from common.gains import gain_of
from common.lessons import lesson
from common.report import OUTPUT, print_header, print_row
from common.scores import certainty, scores
from common.tasks import load_task

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    FeatureMapNet,
    SmoothedAnticipator,
)

FOLDER = OUTPUT / "defaults"
TINY = OUTPUT / "defaults-tiny"
SETTINGS = {  # name -> dropout, smoothing
    "plain": (0.0, 0.0),
    "smoothing .1": (0.0, 0.1),
    "dropout .5": (0.5, 0.0),
    "dropout .3, smoothing .1": (0.3, 0.1),
    "dropout .5, smoothing .1": (0.5, 0.1),
}
ALONE = "labels only, "
VIEWS = {
    "past": lambda clips: clips,
    "means": lambda clips: np.nanmean(clips, axis=1),  # (n, T, d) -> (n, d)
    # Two halves in time, two rows, three columns: (n, 12, d) -> (n, 2, 2, 3, d).
    "grid": lambda clips: clips.reshape(len(clips), 2, 2, 3, -1),
}
MIN_SEEDS = 2
FIGURES = {"top-1": ("accuracy", 100, 1), "log loss": ("log loss", 1, 3)}


def network(view, p):
    """What `network=None` stands for, with dropout."""
    if view == "grid":
        return FeatureMapNet(dropout=p)
    return {"means": MLP, "past": LSTM}[view](dropout=p, input_dropout=0.6 * p)


def student(name, view, epochs, cache):
    """Unfitted, by its name."""
    dropout, smoothing = SETTINGS[name.removeprefix(ALONE)]
    given = {"smoothing": smoothing, "max_epochs": epochs}
    if name.startswith(ALONE):
        return SmoothedAnticipator(network(view, dropout), **given)
    # Students that differ in smoothing have the same teacher.
    return DistilledAnticipator(network(view, dropout), teacher_cache=cache, **given)


def answers(task, view, share, part, seed, name, epochs, cache):
    """Answers of a student for the clips that a part tests.   -> (n, C)."""
    one = lesson(task, part, *task.part(part), share, seed)
    past, future, held = map(
        VIEWS[view], (one.clips["past"], one.clips["future"], one.held["past"])
    )
    model = student(name, view, epochs, cache)
    model.set_params(random_state=seed, classes=one.classes)
    model.fit(past, one.y, future)
    return proba_of(model, held, one.classes).astype(np.float32)


def run(args, folder, set_name, task, cache):
    """Fit what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for share in args.shares:
        for seed in range(args.seeds):
            for part in range(min(args.parts, task.n_parts)):
                for name in args.students:
                    row = f"{set_name};{args.view};{share:g};{name}"
                    file = folder / f"{row};{seed};{part}.npy"
                    if not file.exists():
                        found = task, args.view, share, part, seed, name, args.epochs
                        np.save(file, answers(*found, cache))


def kept(folder):
    """Answers that are there.   -> {(set, view, share): {student: {(seed, part)}}}."""
    found = {}
    for file in sorted(folder.glob("*.npy")):
        *row, name, seed, part = file.stem.split(";")
        units = found.setdefault(tuple(row), {}).setdefault(name, {})
        units[int(seed), int(part)] = np.load(file, allow_pickle=False)
    return found


def compared(name):
    """Students it is compared with: one without dropout and smoothing, one untaught."""
    if name.startswith(ALONE):
        other = ALONE + "smoothing .1"  # the default of `SmoothedAnticipator`
        return [other] if "dropout" in name else []
    return ["plain", ALONE + "plain"] if name != "plain" else [ALONE + "plain"]


def looked_at(units, keys, task):
    """Figures of clips and calibration error, over the seeds that have all parts.

    -> {figure: (S, n)}, error, rows of the clips; None of less than `MIN_SEEDS`
    """
    parts = sorted({part for _, part in keys})
    seeds = sorted(
        {seed for seed, _ in keys if all((seed, part) in keys for part in parts)}
    )
    if len(seeds) < MIN_SEEDS:
        return None
    rows = np.concatenate([task.part(part)[1] for part in parts])
    proba = np.stack(
        [np.concatenate([units[seed, part] for part in parts]) for seed in seeds]
    )
    y = task.y[rows]
    error = certainty(proba, y, task.classes)[2].mean()
    return scores(proba, y, task.classes), error, rows


def table(folder, data):
    """Print all rows; a star stands after Holm's correction over all differences."""
    lines, gains = [], {}
    for row, students in kept(folder).items():
        task = load_task(row[0], data)
        for name, units in students.items():
            found = looked_at(units, set(units), task)
            if found is None:
                continue
            lines.append((row, name, *found[:2]))
            for other in compared(name):
                both = set(units) & set(students.get(other, {}))
                pair = [looked_at(students[n], both, task) for n in (name, other)]
                if None in pair:
                    continue
                groups = task.groups[pair[0][2]]
                for figure, (_, scale, _) in FIGURES.items():
                    found = (figures[figure] for figures, *_ in pair)
                    gains[row, name, other, figure] = gain_of(*found, groups, scale)
    adjusted = holm([p_value(gain) for gain in gains.values()])
    star = {k: "*" if p < 0.05 else "" for k, p in zip(gains, adjusted, strict=True)}
    show(lines, gains, star)


def show(lines, gains, stars):
    """Print a line for each student of each row."""
    overs = ["plain", ALONE + "plain", ALONE + "smoothing .1"]
    print_header(
        *("set", "input", "labels", "clips", "seeds", "student", "accuracy"),
        *("log loss", "calibration error"),
        *(f"{FIGURES[f][0]} over {over}" for over in overs for f in FIGURES),
    )
    for row, name, figures, error in lines:
        n_seeds, n_clips = map(str, figures["top-1"].shape)
        cells = [*row[:2], f"{float(row[2]):.0%}", n_clips, n_seeds, name]
        for figure, (_, scale, digits) in FIGURES.items():
            cells.append(f"{scale * figures[figure].mean():.{digits}f}")
        cells.append(f"{100 * error:.1f}")
        for over in overs:
            for figure, (_, _, digits) in FIGURES.items():
                key = row, name, over, figure
                found = key in gains
                cells.append(f"{gains[key]:.{digits}f}{stars[key]}" if found else "")
        print_row(*cells)


def main():
    """Fit what is asked for, then print the table of all there is."""
    parser = data_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["manoeuvres-2"])
    parser.add_argument("--view", choices=VIEWS, default="past")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.2, 1.0])
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=50)
    names = [start + name for name in SETTINGS for start in ("", ALONE)]
    parser.add_argument("--students", nargs="+", choices=names, default=names)
    parser.add_argument("--table", action="store_true", help="fit nothing")
    tiny = {"sets": ["kitchen"], "view": "past", "shares": [0.2]}
    tiny |= {"parts": 1, "seeds": 2, "epochs": 2, "table": False}
    args = parse_with_data(parser, tiny)
    warnings.simplefilter("ignore")  # classes without a label, unlabelled clips
    folder = TINY if args.tiny else FOLDER
    for name in [] if args.table else args.sets:
        with TemporaryDirectory() as cache:
            run(args, folder, name, load_task(name, args.data), cache)
    if args.table or args.tiny:
        table(folder, args.data)


if __name__ == "__main__":
    main()
