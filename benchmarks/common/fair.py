"""Fair comparison: every arm is chosen from the same space, on the same inner folds.

Network, dropout, smoothing and length of each arm are those with the least log loss on
inner folds of the training part ("by accuracy": with the highest accuracy). Held-out
clips are scored with all their labels, for all arms alike. The teacher of the past, the
control, is the mean of three labels-only students and, where that is better, a forest.
"""

from collections import defaultdict
from itertools import product
from typing import NamedTuple

import numpy as np

from common.arms import ALIGNMENTS, LABELS, TAUGHT, Arm, Setting, student
from common.certainty import log_losses
from common.lessons import curves, fit_labelled, fit_taught, lesson
from common.staff import answers, lenders
from common.tasks import NETWORKS

FULL = "start, soft targets"  # the arm to which losses of maps are added


class Budget(NamedTuple):
    """How much is looked at."""

    dropouts: tuple = (0.0, 0.5)
    smoothings: tuple = (0.0, 0.1)
    max_periods: int = 20
    n_inner: int = 2
    n_draws: int = 1  # of labels in each inner fold
    weights: tuple = (0.1, 1.0, 10.0)  # of losses of maps


# ------------------------------------------------------------------------- choosing


class Look:
    """Curves of candidates on all inner folds: what is chosen, and by what."""

    def __init__(self, candidates):
        self.candidates = candidates
        self.runs = []  # arrays (candidates, P, 2), one for each fold and draw

    def best(self, by="log loss", among=lambda candidate: True):
        """The best candidate with the best length.   -> candidate, periods, figure."""
        mean = np.mean(self.runs, axis=0)  # (candidates, P, 2)
        goal = -mean[..., 0] if by == "log loss" else smooth(mean[..., 1])
        goal[[not among(c) for c in self.candidates]] = -np.inf
        k, period = np.unravel_index(np.argmax(goal), goal.shape)
        return self.candidates[k], int(period) + 1, float(goal[k, period])


def smooth(accuracy):
    """Mean over three epochs: a single one is lucky.   (K, P) -> (K, P)."""
    padded = np.pad(accuracy, ((0, 0), (1, 1)), mode="edge")
    return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3


class Folds:
    """Inner folds of a part, each with several choices of labels."""

    def __init__(self, task, part, share, budget):
        self.budget, self.folds = budget, []
        past, future = task.clips(part)
        self.alike = past.shape[1:] == future.shape[1:]
        for j, (rows, held) in enumerate(task.inner_parts(part, budget.n_inner)):
            seeds = [1000 + 10 * j + d for d in range(budget.n_draws)]
            lessons = [lesson(task, part, rows, held, share, seed) for seed in seeds]
            self.folds.append((lessons, seeds))

    def settings(self, networks):
        """All settings of these networks, at full length."""
        budget = self.budget
        space = product(networks, budget.dropouts, budget.smoothings)
        return [Setting(*choice, budget.max_periods) for choice in space]

    def look(self, arm, candidates, answered=None, lent=None):
        """Curves of an arm under all candidates (arm, setting).

        `answered` holds the soft targets of every fold and draw, `lent` for every
        (network, dropout) the teachers of every fold and draw.
        """
        look = Look(candidates)
        for f, (lessons, seeds) in enumerate(self.folds):
            models, numbers = [], list(range(len(lessons))) * len(candidates)
            for own, setting in candidates:
                key = setting.network, setting.dropout
                teachers = lent[key][f] if lent else None
                models += students(own, setting, lessons, seeds, teachers)
            if arm.sees is None or arm is TEACHER:
                sees = arm.sees or "past"
                fitted = fit_labelled(models, numbers, lessons, sees, score=True)
            else:
                given = answered[f] if arm.soft else None
                fitted = fit_taught(
                    models, numbers, lessons, arm.sees, given, score=True
                )
            found = curves(fitted)
            look.runs += [found[k :: len(lessons)] for k in range(len(lessons))]
        return look


TEACHER = Arm("future")  # a student of labels that sees the future


def choose(task, part, share, budget, with_maps=True):
    """Choose every arm of a part on its inner folds.

    -> {arm: {"setting", "arm"}, "teachers": {sees: {"setting", "kind"}}, ...}
    """
    folds = Folds(task, part, share, budget)
    space = folds.settings(task.networks)
    looks = {
        sees: folds.look(arm, [(LABELS, setting) for setting in space])
        for sees, arm in (("past", LABELS), ("future", TEACHER))
    }
    plan = {"labels only": described(LABELS, *looks["past"].best())}
    by_accuracy = looks["past"].best("accuracy")
    plan["labels only, by accuracy"] = described(LABELS, *by_accuracy)
    teachers = {}
    for sees, look in looks.items():
        (_, setting), periods, _ = look.best()
        setting = setting._replace(periods=periods)
        teachers[sees] = Teachers(folds, sees, setting, look)
    for name, arm in TAUGHT.items():
        teacher = teachers[arm.sees]
        lent = teacher.lend(space) if arm.start else None
        candidates = [(arm, setting) for setting in space]
        look = folds.look(arm, candidates, teacher.answered, lent)
        plan[name] = described(arm, *look.best())
        if name == "soft targets":
            best = look.best("accuracy")
            plan["soft targets, by accuracy"] = described(arm, *best)
    if with_maps:
        plan |= choose_maps(folds, plan, teachers["future"])
    plan["teachers"] = {sees: one.described() for sees, one in teachers.items()}
    return plan


def choose_maps(folds, plan, teacher):
    """Length of the best taught arm with each loss of maps at each weight."""
    setting = Setting(**plan[FULL]["setting"])
    setting = setting._replace(periods=folds.budget.max_periods)
    full = TAUGHT[FULL]
    alignments = [a for a in ALIGNMENTS if a != "direct" or folds.alike]
    candidates = [
        (full._replace(alignment=alignment, weight=weight), setting)
        for alignment in alignments
        for weight in folds.budget.weights
    ]
    look = folds.look(full, candidates, teacher.answered, teacher.lend([setting]))
    found = {}
    for own in candidates:
        chosen = look.best(among=lambda candidate, own=own: candidate == own)
        name = f"{FULL}, {own[0].alignment} {own[0].weight:g}"
        found[name] = described(own[0], *chosen)
    return {
        f"{FULL}, {alignment}": max(
            (one for one in found.values() if one["arm"]["alignment"] == alignment),
            key=lambda one: one["inner"],
        )
        for alignment in alignments
    } | {"maps on inner folds": {name: one["inner"] for name, one in found.items()}}


class Teachers:
    """Teachers that see the past or the future, on all inner folds."""

    def __init__(self, folds, sees, setting, look):
        self.folds, self.sees, self.setting, self.look = folds, sees, setting, look
        found = [answers(own, sees, setting, seeds) for own, seeds in folds.folds]
        losses = defaultdict(list)
        for (lessons, _), (_, held) in zip(folds.folds, found, strict=True):
            columns = np.searchsorted(lessons[0].classes, lessons[0].y_held)
            for one in held:
                for kind, proba in one.items():
                    losses[kind].append(log_losses(proba, columns).mean())
        self.kind = min(losses, key=lambda kind: np.mean(losses[kind]))
        self.answered = [[one[self.kind] for one in taught] for taught, _ in found]

    def lend(self, space):
        """Frozen networks for each kind of network, of its best length."""
        lent = {}
        for key in dict.fromkeys((s.network, s.dropout) for s in space):
            setting = self.best_of(*key)
            lent[key] = [
                lenders(lessons, self.sees, setting, seeds)
                for lessons, seeds in self.folds.folds
            ]
        return lent

    def best_of(self, network, dropout):
        """Best smoothing and length of a network."""

        def among(candidate):
            return candidate[1][:2] == (network, dropout)

        (_, setting), periods, _ = self.look.best(among=among)
        return setting._replace(periods=periods)

    def described(self):
        """What is stored."""
        keys = dict.fromkeys((s.network, s.dropout) for _, s in self.look.candidates)
        lenders = [self.best_of(*key)._asdict() for key in keys]
        return {
            "setting": self.setting._asdict(),
            "kind": self.kind,
            "lenders": lenders,
        }


def described(arm, candidate, periods, figure):
    """What is stored of an arm."""
    setting = candidate[1]._replace(periods=periods)
    return {
        "arm": arm._asdict(),
        "setting": setting._asdict(),
        "inner": round(figure, 4),
    }


# ------------------------------------------------------------------------ measuring


def measure(task, part, share, plan, seeds):
    """Fit every arm of a plan with every seed, and answer for the test part.

    Seeds draw the labels that are kept, weights and batches.

    -> {arm: (seeds, n_test, C)}
    """
    rows, held = task.part(part)
    lessons = [lesson(task, part, rows, held, share, seed) for seed in seeds]
    teachers = plan["teachers"]
    taught, found = {}, {}
    for sees, teacher in teachers.items():
        setting = Setting(**teacher["setting"])
        own, answered = answers(lessons, sees, setting, seeds)
        taught[sees] = [one[teacher["kind"]] for one in own]
        answered = np.array([one[teacher["kind"]] for one in answered])
        found[f"(the teacher, on the {sees})"] = answered
    lent = {}
    for name, chosen in plan.items():
        if "arm" not in chosen:  # of teachers, and what was not chosen
            continue
        arm, setting = Arm(**chosen["arm"]), Setting(**chosen["setting"])
        key = arm.sees, setting.network, setting.dropout
        if (arm.start or arm.weight) and key not in lent:
            known = [Setting(**one) for one in teachers[arm.sees]["lenders"]]
            lender = next(one for one in known if one[:2] == key[1:])
            lent[key] = lenders(lessons, arm.sees, lender, seeds)
        models = students(arm, setting, lessons, seeds, lent.get(key))
        numbers = range(len(seeds))
        if arm.sees is None:
            fitted = fit_labelled(models, numbers, lessons, "past")
        else:
            given = taught[arm.sees] if arm.soft else None
            fitted = fit_taught(models, numbers, lessons, arm.sees, given)
        clips = lessons[0].held["past"]
        found[name] = np.array([model.predict_proba(clips) for model in fitted])
    return found


def students(arm, setting, lessons, seeds, lent):
    """Unfitted student of an arm for each lesson; teachers lend maps and weights."""
    spec = NETWORKS[setting.network](setting.dropout)
    if not (arm.start or arm.weight):
        lent = [None] * len(seeds)
    classes, scarce = lessons[0].classes, lessons[0].scarce
    return [
        student(arm, setting, spec, classes, seed, teacher=teacher, scarce=scarce)
        for seed, teacher in zip(seeds, lent, strict=True)
    ]
