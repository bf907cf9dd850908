"""What it brings to guess the future first: the classifier also reads the guess.

For a set whose settings are stored. The student guesses from the past what the teacher
makes of the future, and its classifier reads the guess beside the features of the past;
`feature_weight` teaches the guess, soft targets teach as ever. Opponents are rows of
the table of `visual.py`. To the settings of its "soft targets" the guess is added, as
losses of maps are to theirs there; its weight, whether it also learns from the
classifier, and the length are chosen on the same inner folds and stored, before the
test part is answered for. Then why: how near the guess comes, and what the classifier
makes of a mean, of another clip's guess, and of the true future.

    python benchmarks/guess.py --data FOLDER --set salads50
    python benchmarks/guess.py --data FOLDER --settings benchmarks/settings/FILE.json
"""

import json
import os
import re
import warnings
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import data_parser, parse_with_data
from common.arms import Arm, Setting
from common.certainty import holm, p_value
from common.fair import FULL, Budget, Folds, Look, choose, students
from common.gains import gain_of
from common.guessing import Guess, Pooled, guessers, linear_guess, read_instead
from common.lessons import curves, fit_taught, lesson
from common.report import print_header, print_row
from common.scores import scores
from common.staff import answers, lenders
from common.tasks import load_task
from sklearn.frozen import FrozenEstimator

SETTINGS = Path(__file__).parent / "settings"
WEIGHTS = 0.3, 1.0, 3.0
SOFT, GUESS, CONTROL = "soft targets", "guess", "guess, not taught"
GUESSES = {GUESS: SOFT, f"{GUESS}, by accuracy": f"{SOFT}, by accuracy"}
COLUMNS = (
    "accuracy over soft targets, or over the guess",
    "log loss over the same",
)


# -------------------------------------------------------------------------- choosing


def choose_guess(task, part, share, plan, budget):
    """Choose the guess of a part on its inner folds.   -> {row: what is stored}."""
    folds = Folds(task, part, share, budget)
    arms = [Guess(*own) for own in product(budget.weights, (True, False))]
    chosen = {}
    for row, soft in GUESSES.items():
        setting = Setting(**plan[soft]["setting"])
        setting = setting._replace(periods=budget.max_periods)
        found = look_at(folds, [(own, setting) for own in arms], plan)
        by = "accuracy" if row.endswith("accuracy") else "log loss"
        best = {
            own: found.best(by, among=lambda one, own=own: one[0] == own)
            for own in arms
        }
        chosen[row] = described(*max(best.values(), key=lambda one: one[2]))
        figures = {name_of(own): round(one[2], 4) for own, one in best.items()}
        chosen[f"{row}, on inner folds"] = figures
    return chosen


def look_at(folds, candidates, plan):
    """Curves of candidates (guess, setting) on all inner folds.   -> Look."""
    found = Look(candidates)
    for lessons, seeds in folds.folds:
        answered, lent, _ = staff(lessons, seeds, plan)
        models = []
        for own, setting in candidates:
            models += guessers(own, setting, lessons, seeds, lent)
        numbers = list(range(len(lessons))) * len(candidates)
        fitted = fit_taught(models, numbers, lessons, "future", answered, score=True)
        shown = curves(fitted)
        found.runs += [shown[k :: len(lessons)] for k in range(len(lessons))]
    return found


def name_of(guess):
    """How a guess is learnt, in words."""
    return f"weight {guess.weight:g}{'' if guess.through else ', apart'}"


def described(candidate, periods, figure):
    """What is stored of a row."""
    own, setting = candidate
    setting = setting._replace(periods=periods)._asdict()
    return {"guess": own._asdict(), "setting": setting, "inner": round(figure, 4)}


def staff(lessons, seeds, plan):
    """Teachers of the future of each lesson, as a plan has them.

    -> answers for all clips, frozen networks with pooled maps, answers for held clips
    """
    teacher = plan["teachers"]["future"]
    setting, kind = Setting(**teacher["setting"]), teacher["kind"]
    answered, told = answers(lessons, "future", setting, seeds)
    lent = [
        FrozenEstimator(Pooled(model.estimator, one.clips["future"]))
        for model, one in zip(
            lenders(lessons, "future", setting, seeds), lessons, strict=True
        )
    ]
    told = np.array([one[kind] for one in told])
    return [one[kind] for one in answered], lent, told


def store(name, share, seeds, budget, parts):
    """Write the choices down, before anything is measured."""
    plans = {"set": name, "share": share, "seeds": seeds, "budget": budget._asdict()}
    text = json.dumps(plans | {"parts": parts}, indent=1)
    # What holds nothing else stands on one line.
    text = re.sub(r"[{[][^][{}]*[]}]", lambda m: " ".join(m[0].split()), text)
    (SETTINGS / f"guess-{name}.json").write_text(text + "\n")


# ------------------------------------------------------------------------- measuring


def measure(task, part, share, plan, chosen, seeds):
    """Answers of all rows for the test part, and how near guesses come.

    -> {row: (seeds, n, C)}, list of {quantity: float}
    """
    rows, held = task.part(part)
    lessons = [lesson(task, part, rows, held, share, seed) for seed in seeds]
    answered, lent, told = staff(lessons, seeds, plan)
    found = {"(the teacher, on futures)": told}
    for name, stored in opponents(plan).items():
        arm, setting = Arm(**stored["arm"]), Setting(**stored["setting"])
        starts = None
        if arm.start:
            starts = lenders(lessons, "future", lender(plan, setting), seeds)
        models = students(arm, setting, lessons, seeds, starts)
        found[name] = answers_of(fit(models, lessons, answered), lessons)
    for name in (GUESS, f"{GUESS}, by accuracy", CONTROL):
        own = chosen[GUESS if name == CONTROL else name]
        guess, setting = Guess(**own["guess"]), Setting(**own["setting"])
        if name == CONTROL:
            guess = guess._replace(weight=0.0)
        fitted = fit(guessers(guess, setting, lessons, seeds, lent), lessons, answered)
        found[name] = answers_of(fitted, lessons)
        if name == GUESS:
            taught = fitted
    told, quantities = look(taught, lent, lessons)
    return found | told, quantities


def opponents(plan):
    """Rows of the table of a set: soft targets, and the best loss of maps."""
    found = {name: plan[name] for name in (SOFT, f"{SOFT}, by accuracy")}
    maps = [plan[name] for name in plan if name.startswith(f"{FULL}, ")]
    maps = [one for one in maps if one["arm"]["weight"]]
    found[f"{FULL}, the best loss of maps"] = max(maps, key=lambda one: one["inner"])
    return found


def lender(plan, setting):
    """Setting of the teacher's network that a student starts from."""
    known = [Setting(**one) for one in plan["teachers"]["future"]["lenders"]]
    return next(one for one in known if one[:2] == setting[:2])


def fit(models, lessons, answered):
    """Fit a student for each lesson."""
    return fit_taught(models, range(len(lessons)), lessons, "future", answered)


def answers_of(fitted, lessons):
    """Answers for the clips that are held out.   -> (seeds, n, C)."""
    clips = lessons[0].held["past"]
    return np.array([model.predict_proba(clips) for model in fitted])


def look(fitted, lent, lessons):
    """What the guess knows of the future, and what is made of it.

    -> {row: (seeds, n, C)}, list of {quantity: float}
    """
    found, quantities = {}, []
    for seed, (model, frozen, one) in enumerate(
        zip(fitted, lent, lessons, strict=True)
    ):
        teacher, past = frozen.estimator, one.held["past"]
        truth = teacher.feature_map(one.held["future"])[:, 0]  # (n, d)
        guess = model.feature_map(past)[:, 0]
        plain = linear_guess(one, teacher)
        order = np.random.default_rng(seed).permutation(len(guess))
        for name, instead in (
            ("its mean", np.broadcast_to(guess.mean(axis=0), guess.shape)),
            ("that of another clip", guess[order]),
            ("the true future", truth),
        ):
            row = found.setdefault(f"the guess replaced by {name}", [])
            row.append(read_instead(model, past, guess, instead))
        for name, seen in (("the guess", guess), ("a linear guess", plain)):
            row = found.setdefault(f"the teacher's classifier on {name}", [])
            row.append(teacher.classify(seen))
        own = model.feature_map(one.clips["past"])[:, 0]
        theirs = teacher.feature_map(one.clips["future"])[:, 0]
        quantities.append(
            {
                "explained by the guess, training clips": explained(own, theirs),
                "explained by the guess": explained(guess, truth),
                "explained by a linear guess": explained(plain, truth),
                "correlation of the guess": correlation(guess, truth),
                "explained by the class, if it were known": by_class(one, truth),
            }
        )
    return {name: np.array(row) for name, row in found.items()}, quantities


def explained(guess, truth):
    """Share of the variance that a guess explains, over the training mean, zero."""
    return 1 - np.square(truth - guess).sum() / np.square(truth).sum()


def correlation(guess, truth):
    """Mean correlation over the channels."""
    guess, truth = (part - part.mean(axis=0) for part in (guess, truth))
    norms = np.linalg.norm(guess, axis=0) * np.linalg.norm(truth, axis=0)
    return float(np.mean((guess * truth).sum(axis=0) / np.maximum(norms, 1e-9)))


def by_class(one, truth):
    """Share of the variance that lies between the classes of the clips themselves."""
    means = np.zeros_like(truth)
    for label in np.unique(one.y_held):
        own = one.y_held == label
        means[own] = truth[own].mean(axis=0)
    return explained(means, truth)


# ---------------------------------------------------------------------------- report


def report(task, found, quantities):
    """Print both tables; a star: below 5 % after Holm's correction."""
    known = {row: scores(p, task.y, task.classes) for row, p in found.items()}
    gains = {}
    for row, figures in known.items():
        other = known[GUESS if row.startswith("the ") else SOFT]
        if row == SOFT or row.startswith("("):
            continue
        for column, figure, scale in zip(
            COLUMNS, ("top-1", "log loss"), (100, 1), strict=True
        ):
            pair = figures[figure], other[figure]
            gains[row, column] = gain_of(*pair, task.groups, scale)
    adjusted = dict(
        zip(gains, holm([p_value(one) for one in gains.values()]), strict=True)
    )
    print_header("row", "top-1", "log loss", *COLUMNS)
    for row, figures in known.items():
        cells = [f"{100 * figures['top-1'].mean():.1f}"]
        cells.append(f"{figures['log loss'].mean():.3f}")
        for column, digits in zip(COLUMNS, (1, 3), strict=True):
            gain, star = gains.get((row, column)), ""
            if gain and adjusted[row, column] < 0.05:
                star = "*"
            cells.append(f"{gain:.{digits}f}{star}" if gain else "")
        print_row(row, *cells)
    print()
    print_header("the teacher's pooled future, of held-out clips", "per cent")
    for name in quantities[0]:
        mean = np.mean([one[name] for one in quantities])
        print_row(name, f"{100 * mean:.1f}")


def arguments():
    """What is run."""
    parser = data_parser(__doc__)
    parser.add_argument("--set", choices=["salads50", "uti"], default="salads50")
    parser.add_argument("--share", default="0.2")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--settings", type=Path, help="run a stored table again")
    tiny = {"set": "kitchen", "seeds": 1, "settings": None}
    return parse_with_data(parser, tiny)


def main():
    """Choose and store, or read; then measure."""
    args = arguments()
    warnings.simplefilter("ignore")  # classes without a label
    if args.settings:
        stored = json.loads(args.settings.read_text())
        args.set, args.share = stored["set"], stored["share"]
    task, share = load_task(args.set, args.data), float(args.share)
    if args.tiny:
        budget = Budget((0.0,), (0.0,), 2, 1, 1, (1.0,))
        plans = [choose(task, k, share, budget) for k in range(task.n_parts)]
    else:
        others = json.loads((SETTINGS / f"{args.set}.json").read_text())
        plans, budget = others["shares"][args.share], Budget(weights=WEIGHTS)
        args.seeds = args.seeds or others["seeds"]
    if args.settings:
        parts = stored["parts"]
    else:
        parts = [
            choose_guess(task, part, share, plan, budget)
            for part, plan in enumerate(plans)
        ]
        if not args.tiny:
            store(args.set, args.share, args.seeds, budget, parts)
    found, quantities = {}, []
    for part, (plan, chosen) in enumerate(zip(plans, parts, strict=True)):
        told, more = measure(task, part, share, plan, chosen, range(args.seeds))
        quantities += more
        for row, proba in told.items():
            shape = args.seeds, len(task.y), proba.shape[-1]
            every = found.setdefault(row, np.zeros(shape, np.float32))
            every[:, task.part(part)[1]] = proba
    report(task, found, quantities)


if __name__ == "__main__":
    main()
