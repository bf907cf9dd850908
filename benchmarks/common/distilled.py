"""A search over what a student takes from its teacher: alpha and feature weight."""

from tempfile import TemporaryDirectory

import numpy as np
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import GroupKFold

from skanticipate import SemiSupervisedSplit
from skanticipate.datasets import make_kitchen

GRID = {
    "alpha": [0.05, 0.1, 0.2, 0.5, 1.0],
    "feature_weight": [0.05, 0.1, 0.5, 1.0],
}


def past_and_future(n_videos):
    """Clips (n, 8, 24) of past and future, their labels, half of them hidden, groups.

    -> dict of the arguments of `search`
    """
    kitchen = make_kitchen(
        n_videos, n_steps=8, unlabeled_fraction=0.5, n_features=24, random_state=0
    )
    return {
        "past": kitchen.X_past,
        "future": kitchen.X_future,
        "y": kitchen.y,
        "groups": kitchen.groups,
    }


def search(kind, model, grid, *, past, future, y, groups, cached):
    """Search by log loss over three folds of whole videos.

    Parameters
    ----------
    kind : type
        `GridSearchCV`, or what takes its place.
    model : DistilledAnticipator
        With an integer `random_state`.
    grid : dict
        What is searched over.
    past, future, y, groups : arrays
        As `past_and_future` gives them.
    cached : bool
        Whether teachers are kept in a folder that is made for this search.

    Returns
    -------
    The fitted search.
    """
    classes = np.unique(y[y >= 0])
    scorer = make_scorer(log_loss, response_method="predict_proba", labels=classes)
    with TemporaryDirectory() as folder:
        model.set_params(classes=classes, teacher_cache=folder if cached else None)
        found = kind(
            model,
            grid,
            cv=SemiSupervisedSplit(GroupKFold(3)),
            scoring=scorer,
            refit=False,
            error_score="raise",
        )
        return found.fit(past, y, X_future_unlabeled=future, groups=groups)
