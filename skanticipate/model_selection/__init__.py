"""Splits for data of which a part has no label."""

from skanticipate.model_selection.splits import SemiSupervisedSplit

__all__ = ["SemiSupervisedSplit"]
