"""How training ended, and whether the figure that it watched tells epochs apart."""

from sklearn.exceptions import ConvergenceWarning

from skanticipate.data.warn import warn
from skanticipate.training.scoring import WATCHED


def check_watched(estimator, n_classes):
    """Refuse a figure that is 1 in every epoch.

    Parameters
    ----------
    estimator : BaseAnticipator
        Whose `early_stopping` and `scoring` matter.
    n_classes : int

    Raises
    ------
    ValueError
        If early stopping watches the top-5 accuracy of five classes or fewer.
    """
    of_five = estimator.early_stopping and estimator.scoring == "top_5_accuracy"
    if of_five and n_classes <= 5:
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
    if not estimator.early_stopping:
        return
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
