"""What early stopping watches: a figure, and whether it tells epochs apart."""

from inspect import signature
from numbers import Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring

from skanticipate.data.warn import warn
from skanticipate.training.scoring import WATCHED


def check_watched(estimator, n_classes):
    """Refuse a figure that is 1 in every epoch.

    Parameters
    ----------
    estimator : BaseAnticipator
        With early stopping.
    n_classes : int

    Raises
    ------
    ValueError
        If it is the top-5 accuracy of five classes or fewer.
    """
    if estimator.scoring == "top_5_accuracy" and n_classes <= 5:
        raise ValueError(
            f"scoring='top_5_accuracy' with {n_classes} classes is 1 in every epoch, "
            "so that early stopping would keep the first: expected more than 5 "
            "classes. Choose another figure, such as scoring='loss'."
        )


def warn_of_end(estimator, state):
    """Warn of a training that went astray, or could not tell its epochs apart.

    Parameters
    ----------
    estimator : BaseAnticipator
        With early stopping.
    state : TrainingState
        At the end of training.
    """
    if state.astray is None:
        _warn_of_standstill(estimator, state)
        return
    warn(
        f"{type(estimator).__name__} ended early, with the best weights of "
        f"{state.epoch} epochs: {state.astray}",
        ConvergenceWarning,
    )


def _warn_of_standstill(estimator, state):
    """Warn where the watched figure was the same in all epochs."""
    watched = estimator.scoring if estimator.scoring in WATCHED else "score"
    n_preparing = getattr(state.network, "n_preparing", 0)
    scores = [record[f"val_{watched}"] for record in state.history[n_preparing:]]
    if len(scores) > 1 and len(set(scores)) == 1:
        warn(
            f"{type(estimator).__name__} kept the weights of the first epoch: "
            f"val_{watched} was {scores[0]:.4g} in all {len(scores)} epochs, so that "
            "early stopping could not tell them apart. Choose another scoring, such "
            "as 'loss', or more validation rows."
        )


def _takes_weights(scorer):
    """Whether a scorer of scikit-learn has a metric of weighted rows."""
    metric = getattr(scorer, "_score_func", None)
    try:
        return metric is not None and "sample_weight" in signature(metric).parameters
    except ValueError:  # of a function in C
        return False


class EpochScore:
    """Score of a network on validation rows: early stopping may go by it.

    Parameters
    ----------
    estimator : BaseAnticipator
        In the middle of its fit; it stays as it is.
    validation : Samples
        Scored are those whose label is one of the classes.
    """

    def __init__(self, estimator, validation):
        known = validation.select(validation.codes >= 0)
        self.scoring = estimator.scoring
        self.scorer = check_scoring(estimator, scoring=self.scoring)
        self.clips, self.labels = known.rows, estimator.classes_[known.codes]
        weighs = known.weights is not None and _takes_weights(self.scorer)
        self.weights = {"sample_weight": known.weights} if weighs else {}
        self.view = object.__new__(type(estimator))  # as if it were fitted
        vars(self.view).update(vars(estimator))
        vars(self.view).pop("feature_names_in_", None)  # these clips bring none

    def __call__(self, network):
        """Score a network in evaluation mode.   -> float."""
        self.view.network_ = network
        try:
            score = self.scorer(self.view, self.clips, self.labels, **self.weights)
        except Exception as error:
            raise ValueError(self._trouble(f"fails ({error}).")) from error
        finally:
            del self.view.network_
        if not isinstance(score, Real) or np.isnan(score):
            raise ValueError(self._trouble(f"gives {score!r} where a number is due."))
        return float(score)

    def _trouble(self, what):
        return (
            f"scoring={self.scoring!r} on the {len(self.labels)} validation rows "
            f"{what} Choose another figure, such as 'loss', or validation rows that "
            "it can score: X_val and y_val."
        )
