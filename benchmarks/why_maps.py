"""Why a loss of maps helps or does not: what it would need, measured one by one.

For a set whose settings are stored: how far the teacher is above its student, and the
student that has all labels or the answers of a teacher that has them (its ceiling);
whether maps of past and future share a space, and whether positions drift; and what
carries the gain of the loss, if there is one: the clip's own future, or any future.

    python benchmarks/why_maps.py --data FOLDER --settings benchmarks/settings/FILE.json
"""

import json
import os
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import data_parser, parse_with_data
from common.arms import LABELS, TAUGHT, Setting
from common.fair import FULL, Budget, choose, students
from common.gains import gain_of
from common.lessons import fit_labelled, fit_taught, lesson, shuffled
from common.report import print_header, print_row
from common.scores import scores
from common.staff import answers, lender, lenders
from common.tasks import load_task
from sklearn.base import clone

WEIGHTS = (1.0, 10.0)


def look(task, part, share, plan, seeds):
    """Answers of all arms for the test part, and what maps say of each other.

    -> {arm: (seeds, n, C)}, list of {quantity: float}
    """
    rows, held = task.part(part)
    lessons = [lesson(task, part, rows, held, share, seed) for seed in seeds]
    full = [lesson(task, part, rows, held, 1.0, seed) for seed in seeds]
    teacher = Setting(**plan["teachers"]["future"]["setting"])
    kind = plan["teachers"]["future"]["kind"]
    taught, told = answers(lessons, "future", teacher, seeds)
    taught = [one[kind] for one in taught]
    found = {"(the teacher, on futures)": np.array([one[kind] for one in told])}
    plain = Setting(**plan["labels only"]["setting"])
    arm, setting = TAUGHT[FULL], Setting(**plan[FULL]["setting"])
    lent = lenders(lessons, "future", lender(plan, setting), seeds)

    def student(name, arm, setting, lessons, sees, soft):
        models = students(arm, setting, lessons, seeds, lent)
        if arm.sees is None:
            fitted = fit_labelled(models, range(len(seeds)), lessons, sees)
        else:
            fitted = fit_taught(models, range(len(seeds)), lessons, sees, soft)
        clips = lessons[0].held["past"]
        found[name] = np.array([model.predict_proba(clips) for model in fitted])
        return fitted

    student("labels only", LABELS, plain, lessons, "past", None)
    student("all labels", LABELS, plain, full, "past", None)
    student(FULL, arm, setting, lessons, "future", taught)
    best = [one[kind] for one in answers(full, "future", teacher, seeds)[0]]
    student(
        "(ceiling) answers of a teacher of all labels",
        arm,
        setting,
        lessons,
        "future",
        best,
    )
    mixed = [shuffled(one, seed) for one, seed in zip(lessons, seeds, strict=True)]
    for alignment in ("weak", "pooled"):
        for weight in WEIGHTS:
            own, name = arm._replace(alignment=alignment, weight=weight), f"{weight:g}"
            name = f"{FULL}, {alignment} {weight:g}"
            student(name, own, setting, lessons, "future", taught)
            student(f"{name}, futures shuffled", own, setting, mixed, "future", taught)
    return found, [
        maps(one, net, plain) for one, net in zip(lessons, lent, strict=True)
    ]


# ------------------------------------------------------------------------------ maps


def maps(one, lent, plain):
    """What maps of the held-out past and future say of each other.

    Made by the teacher's network, by two networks that were trained on their own, and
    by one network trained on both. Chance stands beside what has one.
    """
    teacher = lent.estimator
    apart = clone(teacher).set_params(random_state=1)
    apart.fit(one.clips["past"][one.labelled], one.y[one.labelled])
    both = clone(teacher)
    both.fit(*stacked(one))
    past, future = one.held["past"], one.held["future"]
    theirs = teacher.feature_map(future)
    found = {"chance of the class": np.square(shares(one.y_held)).sum()}
    for name, own, other in (
        ("the teacher's network", teacher.feature_map(past), theirs),
        ("two networks", apart.feature_map(past), theirs),
        ("one of both", both.feature_map(past), both.feature_map(future)),
    ):
        found[f"same class nearest, {name}"] = same_class(own, other, one.y_held)
        found[f"own clip before others, {name}"] = own_first(own, other)
    own = teacher.feature_map(past)
    if own.shape == theirs.shape:
        found["same position nearest"] = same_position(own, theirs)
        found["chance of the position"] = 1 / own.shape[1]
    return found


def stacked(one):
    """Labelled pasts and futures as clips of one length, and their labels."""
    past, future = (one.clips[sees][one.labelled] for sees in ("past", "future"))
    steps = max(past.shape[1], future.shape[1])

    def padded(clips):
        missing = np.full((len(clips), steps - clips.shape[1], clips.shape[2]), np.nan)
        return np.concatenate([missing, clips], axis=1).astype(np.float32)

    y = one.y[one.labelled]
    return np.concatenate([padded(past), padded(future)]), np.concatenate([y, y])


def shares(y):
    """Share of each class."""
    return np.unique(y, return_counts=True)[1] / len(y)


def alike(own, other):
    """Cosines of mean maps, less the means over clips.   -> (n, n)."""
    means = [np.nanmean(found, axis=1) for found in (own, other)]
    means = [m - m.mean(axis=0) for m in means]
    means = [
        m / np.maximum(np.linalg.norm(m, axis=1, keepdims=True), 1e-9) for m in means
    ]
    return means[0] @ means[1].T


def same_class(own, other, y):
    """How often the nearest future of another clip is of the same class."""
    near = alike(own, other)
    np.fill_diagonal(near, -np.inf)
    return float(np.mean(y[near.argmax(axis=1)] == y))


def own_first(own, other):
    """Share of other futures that are further away than the own one; chance is .5."""
    near = alike(own, other)
    return float(np.mean(near < np.diagonal(near)[:, None]))


def same_position(own, theirs):
    """How often the most alike position of the future is the same one."""
    own, theirs = (m - np.nanmean(m, axis=(0, 1)) for m in (own, theirs))
    near = np.einsum("nid,njd->nij", own, theirs)
    near /= np.linalg.norm(theirs, axis=2)[:, None] + 1e-9
    return float(np.mean(near.argmax(axis=2) == np.arange(own.shape[1])))


# ---------------------------------------------------------------------------- report


def report(task, found, quantities):
    """Print both tables."""
    known = {arm: scores(p, task.y, task.classes) for arm, p in found.items()}
    print_header("row", "top-1", "log loss", "accuracy over start, soft", "log loss")
    for arm, figures in known.items():
        cells = [f"{100 * figures['top-1'].mean():.1f}"]
        cells.append(f"{figures['log loss'].mean():.3f}")
        for figure, scale, digits in (("top-1", 100, 1), ("log loss", 1, 3)):
            gain = gain_of(figures[figure], known[FULL][figure], task.groups, scale)
            cells.append("" if arm == FULL else f"{gain:.{digits}f}")
        print_row(arm, *cells)
    print()
    print_header("maps of held-out clips", "per cent")
    for name in quantities[0]:
        print_row(name, f"{100 * np.mean([one[name] for one in quantities]):.1f}")


def main():
    """Run all parts of a set at one share of labels."""
    parser = data_parser(__doc__)
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--share", default="0.2")
    parser.add_argument("--seeds", type=int, default=5)
    args = parse_with_data(parser, {"seeds": 1, "settings": None})
    warnings.simplefilter("ignore")  # classes without a label
    if args.tiny:
        task, share = load_task("kitchen", None), 0.2
        budget = Budget((0.0,), (0.0,), 2, 1, 1, (1.0,))
        plans = [choose(task, k, share, budget) for k in range(task.n_parts)]
    else:
        stored = json.loads(args.settings.read_text())
        task, share = load_task(stored["set"], args.data), float(args.share)
        plans = stored["shares"][args.share]
    found, quantities = {}, []
    for part, plan in enumerate(plans):
        answered, told = look(task, part, share, plan, range(args.seeds))
        quantities += told
        for name, proba in answered.items():
            shape = args.seeds, len(task.y), proba.shape[-1]
            own = found.setdefault(name, np.zeros(shape, np.float32))
            own[:, task.part(part)[1]] = proba
    report(task, found, quantities)


if __name__ == "__main__":
    main()
