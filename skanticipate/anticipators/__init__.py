"""The estimators: who is asked for soft targets."""

from skanticipate.anticipators.smoothed import SmoothedAnticipator

__all__ = ["SmoothedAnticipator"]
