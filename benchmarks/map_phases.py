"""A loss of maps in a first phase only, behind a projection, or at two layers.

For a set whose settings are stored: students of soft targets, and the same with a loss
of maps in one of these ways, on inner folds of the training parts, whose clips are
scored with all their labels. Network, dropout, smoothing and length are those stored
for "soft targets" (a random start) and "start, soft targets" (the teacher's weights).

    python benchmarks/map_phases.py --data FOLDER --settings FILE [--draws 4 --inner 2]
"""

import json
import os
import warnings
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import data_parser, parse_with_data
from common.arms import LABELS, TAUGHT, Setting, student
from common.fair import FULL, Budget, choose
from common.gains import gain_of
from common.guided import ByLayers, Guided
from common.lessons import curves, fit_labelled, fit_taught, lesson, shuffled
from common.report import print_header, print_row
from common.scores import scores
from common.staff import answers, lender, lenders
from common.tasks import NETWORKS, load_task
from sklearn.frozen import FrozenEstimator

TESTED = Path(__file__).parent / "settings" / "map_phases.json"  # rows, chosen before
SOFT = "soft targets"
ALONE = 10  # epochs in which nothing but maps is taught, where there are any
FIRST = 64  # width of the first of two layers
NONE = 1e-9  # a weight that teaches nothing, of a loss that is noted
FIGURES = (("top-1", 100, 1), ("log loss", 1, 3))  # with factor and digits


class Way(NamedTuple):
    """How a student is taught by maps, beside soft targets."""

    start: bool  # from the weights of the teacher
    alignment: str = "weak"  # "stored": that which did best on the stored inner folds
    weight: float = 0.0
    phase: str = "always"  # "first half"; "alone" before all else; "longer", no maps
    projection: str | None = None
    layers: int = 1
    others: bool = False  # the map of a clip is that of another one, as a control

    def __str__(self):
        """Name of the row."""
        base = FULL if self.start else SOFT
        if self.layers > 1:
            base += ", two layers"
        if not self.weight:
            return base + ", longer" * (self.phase == "longer")
        told = [f"{self.alignment} {self.weight:g}"]
        if self.weight == NONE:
            told = ["maps only compared"]
        if self.alignment == "stored":
            told = ["best alignment of the stored ones"]
        if self.phase == "alone":
            told = [f"{self.alignment} alone first"]
        elif self.phase != "always":
            told.append(self.phase)
        if self.projection:
            told.append(f"{self.projection} projection")
        if self.others:
            told.append("futures shuffled")
        return f"{base}: {', '.join(told)}"

    @property
    def base(self):
        """The same without maps."""
        return Way(self.start, layers=self.layers)


def ways(alike):
    """All that are looked at; `alike`: maps can be compared position by position."""
    found = []
    for start in (False, True):
        weights = (1, 10) if start else (10,)
        found += [Way(start), Way(start, phase="longer")]
        found += [Way(start, "stored", 1)] if start else []
        found += [Way(start, "weak", w) for w in (NONE, *weights)]
        found += [Way(start, "weak", w, "first half") for w in weights]
        found += [Way(start, "weak", 10, "alone")]
        found += [Way(start, "weak", w, projection="linear") for w in weights]
        found += [Way(start, "weak", 10, projection="MLP")]
        found += [] if start else [Way(start, "pooled", 10, projection="MLP")]
        found += [Way(start, "weak", 10, "first half", "MLP")]
        found += [Way(start, "weak", 10, "alone", "MLP")]
        if start and alike:
            found += [
                Way(start, "direct", 10, phase) for phase in ("always", "first half")
            ]
        found += [Way(start, layers=2), Way(start, "weak", weights[0], layers=2)]
    return found


# ---------------------------------------------------------------------------- fitting


class School:
    """Lessons of a fold with their teachers, and the students of any way.

    Parameters
    ----------
    plan : dict
        What is stored of a part.
    lessons : list of Lesson
        Of the same rows.
    seeds : list of int
        Of each lesson.
    """

    def __init__(self, plan, lessons, seeds):
        self.plan, self.lessons, self.seeds, self.lent = plan, lessons, seeds, {}
        future = plan["teachers"]["future"]
        told, _ = answers(lessons, "future", Setting(**future["setting"]), seeds)
        self.answered = [one[future["kind"]] for one in told]

    def fit(self, way):
        """Fitted students of a way, one for each lesson."""
        chosen = self.plan[FULL if way.start else SOFT]
        if way.alignment == "stored":
            chosen = best_stored(self.plan)
            arm = {name: chosen["arm"][name] for name in ("alignment", "weight")}
            way = way._replace(**arm)
        setting = Setting(**chosen["setting"])
        lent = self.lend(setting, way.layers)
        models = [
            student_of(way, setting, *own)
            for own in zip(self.lessons, self.seeds, lent, strict=True)
        ]
        lessons = self.lessons
        if way.others:
            pairs = zip(lessons, self.seeds, strict=True)
            lessons = [shuffled(one, seed) for one, seed in pairs]
        numbers = range(len(lessons))
        return fit_taught(models, numbers, lessons, "future", self.answered, score=True)

    def lend(self, setting, n_layers):
        """Frozen teachers with the network of a setting, one for each lesson."""
        key = setting[:2], n_layers
        if key not in self.lent:
            own, lessons, seeds = lender(self.plan, setting), self.lessons, self.seeds
            if n_layers == 1:
                self.lent[key] = lenders(lessons, "future", own, seeds)
            else:
                self.lent[key] = lenders_of_two_layers(lessons, own, seeds)
        return self.lent[key]


def best_stored(plan):
    """What is stored of the alignment that did best on inner folds."""
    known = [one for one in plan.values() if one.get("arm", {}).get("alignment")]
    return max(known, key=lambda one: one["inner"])


def student_of(way, setting, one, seed, teacher):
    """Unfitted student of a way for one lesson."""
    state = None
    if way.start and way.layers == 1:
        state = teacher.estimator.network_.state_dict()
    n_alone = ALONE * (way.phase == "alone")
    spec = Guided(
        NETWORKS[setting.network](setting.dropout),
        projection=way.projection,
        n_alone=n_alone,
        n_guided={"first half": setting.periods // 2, "alone": ALONE}.get(way.phase),
        first=None if way.layers == 1 else FIRST,
        start=state,
    )
    if way.phase in ("alone", "longer"):
        setting = setting._replace(periods=setting.periods + ALONE)
    arm = TAUGHT[FULL]._replace(start=False, alignment=way.alignment, weight=way.weight)
    model = student(
        arm, setting, spec, one.classes, seed, teacher=teacher, scarce=one.scarce
    )
    if way.layers == 1:
        return model
    model = ByLayers(**model.get_params(deep=False))
    return model.set_params(init_from_teacher=way.start)


def lenders_of_two_layers(lessons, setting, seeds):
    """As `lenders`, of networks with a layer before them."""
    spec = Guided(NETWORKS[setting.network](setting.dropout), first=FIRST)
    models = [student(LABELS, setting, spec, lessons[0].classes, s) for s in seeds]
    fitted = fit_labelled(models, range(len(lessons)), lessons, "future")
    return [FrozenEstimator(model) for model in fitted]


# ---------------------------------------------------------------------------- looking


def test_parts(task, n_seeds):
    """As `inner_folds`, of the test part itself: every draw of labels once."""

    def divided(part):
        return [(*task.part(part), list(range(n_seeds)))]

    return divided


def inner_folds(task, n_inner, n_draws):
    """Division of a part for choices.   -> part -> list of (rows, held, seeds)."""

    def divided(part):
        return [
            (rows, held, [1000 + 10 * j + draw for draw in range(n_draws)])
            for j, (rows, held) in enumerate(task.inner_parts(part, n_inner))
        ]

    return divided


def look(task, plans, share, divided, wanted):
    """Outcomes of all ways on clips that are held out.

    Parameters
    ----------
    task, plans, share, wanted : Task, list of dict, float, list of Way
        Clips, what is stored of each part, the share of labels, and what is fitted.
    divided : callable
        Number of a part -> list of (rows of training, held-out rows, seeds).

    Returns
    -------
    found : dict of Way to dict of figure to ndarray of shape (draws, clips)
        Clips that are held out, of all folds; "best length" is the least log loss of
        each part, of the mean over its runs (1, parts); "map loss" of training after
        the phase, and in the end (2, runs).
    groups : ndarray of shape (clips,)
    """
    found, groups = {way: {} for way in wanted}, []
    for part, plan in enumerate(plans):
        losses = {way: [] for way in wanted}
        for rows, held, seeds in divided(part):
            groups.append(task.groups[held])
            lessons = [lesson(task, part, rows, held, share, seed) for seed in seeds]
            school = School(plan, lessons, seeds)
            for way in wanted:
                fitted = school.fit(way)
                losses[way] += list(curves(fitted)[..., 0])
                own = outcomes_of(way, fitted, lessons[0], task.classes)
                for figure, values in own.items():
                    found[way].setdefault(figure, []).append(values)
        for way, own in losses.items():
            least = np.mean(own, axis=0).min()
            found[way].setdefault("best length", []).append(np.array([[least]]))
        print(f"part {part + 1} of {len(plans)}", flush=True)
    joined = {
        way: {figure: np.concatenate(own, axis=1) for figure, own in figures.items()}
        for way, figures in found.items()
    }
    return joined, np.concatenate(groups)


def outcomes_of(way, fitted, one, classes):
    """Outcomes of the held-out clips, and losses of maps.   -> {figure: (s, m)}."""
    proba = np.array([model.predict_proba(one.held["past"]) for model in fitted])
    known = scores(proba, one.y_held, classes)
    found = {figure: known[figure] for figure, _, _ in FIGURES}
    if way.weight:
        found["map loss"] = np.transpose([map_losses(model) for model in fitted])
    return found


def map_losses(model):
    """Loss of maps of a fitted student when its phase ended, and in the end."""
    n_guided = model.network.n_guided or len(model.history_)
    return [model.history_[n - 1]["feature"] for n in (n_guided, len(model.history_))]


def report(found, groups):
    """Print each way beside soft targets alone, and beside the same without maps."""
    names = [figure for figure, _, _ in FIGURES]
    over = [
        f"{figure} over {other}"
        for other in ("soft targets alone", "the same without maps")
        for figure in names
    ]
    print_header("row", *names, *over, "log loss, best length", "map loss")
    for way, figures in found.items():
        cells = [
            f"{scale * figures[figure].mean():.{digits}f}"
            for figure, scale, digits in FIGURES
        ]
        for other in (Way(False), way.base):
            for figure, scale, digits in FIGURES:
                gain = gain_of(figures[figure], found[other][figure], groups, scale)
                cells.append("" if way == other else f"{gain:.{digits}f}")
        cells.append(f"{figures['best length'].mean():.3f}")
        told = figures["map loss"].mean(axis=1) if way.weight else []
        print_row(str(way), *cells, " then ".join(f"{loss:.3f}" for loss in told))


def main():
    """Look at all ways on the inner folds of a set."""
    parser = data_parser(__doc__)
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--share", default="0.2")
    parser.add_argument("--draws", type=int, default=1, help="of labels, in a fold")
    parser.add_argument("--inner", type=int, default=1, help="inner folds of a part")
    parser.add_argument("--only", nargs="+", help="rows, beside those without maps")
    parser.add_argument("--test", type=int, help="seeds; test parts, and stored rows")
    parser.add_argument("--shuffled", action="store_true", help="and with other maps")
    args = parse_with_data(parser, {"draws": 1, "inner": 1, "settings": None})
    warnings.simplefilter("ignore")  # classes without a label; starts at random
    if args.tiny:
        task, share, least = (
            load_task("kitchen", None),
            0.2,
            Budget((0.0,), (0.0,), 1, 1),
        )
        plans = [choose(task, 0, share, least._replace(weights=(1.0,)))]
    else:
        stored = json.loads(args.settings.read_text())
        task, share = load_task(stored["set"], args.data), float(args.share)
        plans = stored["shares"][args.share]
    past, future = task.clips(0)
    wanted = ways(past.shape[1:] == future.shape[1:])
    divided, only = inner_folds(task, args.inner, args.draws), args.only
    if args.test and not args.tiny:
        only = json.loads(TESTED.read_text())
        divided = test_parts(task, args.test)
    if only:
        wanted = [way for way in wanted if str(way) in only]
    if args.shuffled:
        wanted += [way._replace(others=True) for way in wanted if way.weight]
    bases = [Way(False), *(way.base for way in wanted)]
    wanted = list(dict.fromkeys(bases + wanted))
    report(*look(task, plans, share, divided, wanted))


if __name__ == "__main__":
    main()
