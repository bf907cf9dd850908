"""Searches that train their candidates together, and splits for unlabelled rows."""

from skanticipate.model_selection.batched import (
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
)
from skanticipate.model_selection.splits import SemiSupervisedSplit

__all__ = ["BatchedGridSearchCV", "BatchedRandomizedSearchCV", "SemiSupervisedSplit"]
