"""Teachers of a lesson: ensembles that answer, and networks that lend their weights."""

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, StratifiedKFold

from common.answers import proba_of
from common.arms import LABELS, Setting, student
from common.lessons import fit_labelled
from common.tasks import NETWORKS
from common.teaching import moments

N_MEMBERS = 3
N_TREES = 50
N_FOLDS = 3  # of answers about labelled clips by teachers that did not see them


def members(lessons, sees, setting, seeds):
    """Networks of an ensemble for each lesson.   -> list of lists."""
    spec = NETWORKS[setting.network](setting.dropout)
    jobs = [
        (k, 97 * seed + m) for k, seed in enumerate(seeds) for m in range(N_MEMBERS)
    ]
    classes = lessons[0].classes
    models = [student(LABELS, setting, spec, classes, seed) for _, seed in jobs]
    fitted = fit_labelled(models, [k for k, _ in jobs], lessons, sees)
    return [fitted[k : k + N_MEMBERS] for k in range(0, len(fitted), N_MEMBERS)]


def forest(one, sees, seed):
    """A forest on summaries of the labelled clips."""
    rows = one.labelled
    model = ExtraTreesClassifier(N_TREES, max_features=0.3, random_state=seed)
    return model.fit(moments(one.clips[sees][rows]), one.y[rows])


def mean_answers(networks, trees, clips, classes):
    """Mean of networks, and of them and a forest.   -> {"networks", "forest too"}."""
    answers = [model.predict_proba(clips) for model in networks]
    by_trees = proba_of(trees, moments(clips), classes)
    return {
        "networks": np.mean(answers, axis=0),
        "forest too": np.mean([*answers, by_trees], axis=0),
    }


def answers(lessons, sees, setting, seeds):
    """Soft targets of all clips of each lesson, and answers about held-out clips.

    Where all clips are labelled, those of teachers that did not see them.

    -> list of {kind: (n, C)}, list of {kind: (n_held, C)}
    """
    networks = members(lessons, sees, setting, seeds)
    trees = [forest(one, sees, seed) for one, seed in zip(lessons, seeds, strict=True)]
    taught, held = [], []
    for one, own, trunk, seed in zip(lessons, networks, trees, seeds, strict=True):
        held.append(mean_answers(own, trunk, one.held[sees], one.classes))
        if one.scarce:
            taught.append(mean_answers(own, trunk, one.clips[sees], one.classes))
        else:
            taught.append(_cross_fitted(one, sees, setting, seed))
    return taught, held


def _cross_fitted(one, sees, setting, seed):
    if len(np.unique(one.groups)) < len(one.groups):
        folds = GroupKFold(N_FOLDS).split(one.y, one.y, one.groups)
    else:
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
        folds = folds.split(one.y, one.y)
    held = [rows for _, rows in folds]
    without = [one._replace(y=_hidden(one.y, rows)) for rows in held]
    networks = members(without, sees, setting, [seed] * N_FOLDS)
    found = None
    for part, own, rows in zip(without, networks, held, strict=True):
        clips, trees = one.clips[sees][rows], forest(part, sees, seed)
        proba = mean_answers(own, trees, clips, one.classes)
        if found is None:
            shape = len(one.y), len(one.classes)
            found = {kind: np.zeros(shape) for kind in proba}
        for kind, values in proba.items():
            found[kind][rows] = values
    return found


def _hidden(y, rows):
    y = y.copy()
    y[rows] = -1
    return y


def lenders(lessons, sees, setting, seeds):
    """A frozen network for each lesson, whose weights and maps students use."""
    spec = NETWORKS[setting.network](setting.dropout)
    classes = lessons[0].classes
    models = [student(LABELS, setting, spec, classes, seed) for seed in seeds]
    fitted = fit_labelled(models, range(len(lessons)), lessons, sees)
    return [FrozenEstimator(model) for model in fitted]


def lender(plan, setting):
    """Setting of the teacher's network that a student starts from, as stored."""
    known = [Setting(**one) for one in plan["teachers"]["future"]["lenders"]]
    return next(one for one in known if one[:2] == setting[:2])
