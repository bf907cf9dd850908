"""The estimators: who is asked for soft targets."""

from skanticipate.anticipators.distilled import DistilledAnticipator
from skanticipate.anticipators.fusion import LateFusion
from skanticipate.anticipators.replicas import ReplicaEnsemble
from skanticipate.anticipators.smoothed import SmoothedAnticipator

__all__ = [
    "DistilledAnticipator",
    "LateFusion",
    "ReplicaEnsemble",
    "SmoothedAnticipator",
]
