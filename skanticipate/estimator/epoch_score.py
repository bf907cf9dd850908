"""What a scorer of scikit-learn says of a network that is still being trained."""

from numbers import Real

import numpy as np
from sklearn.metrics import check_scoring


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
        self.view = object.__new__(type(estimator))  # as if it were fitted
        vars(self.view).update(vars(estimator))
        vars(self.view).pop("feature_names_in_", None)  # these clips bring none

    def __call__(self, network):
        """Score a network in evaluation mode.   -> float."""
        self.view.network_ = network
        try:
            score = self.scorer(self.view, self.clips, self.labels)
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
