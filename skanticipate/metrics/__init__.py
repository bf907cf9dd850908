"""How well the next action is anticipated, and scorers that survive long tails."""

from skanticipate.metrics.epic import epic100_metrics
from skanticipate.metrics.scorers import (
    labelled_scorer,
    mean_top_k_recall_scorer,
    top_k_scorer,
)
from skanticipate.metrics.scores import (
    marginalize,
    mean_top_k_recall_score,
    per_class_top_k_recall,
    time_to_action,
    top_k_accuracy,
)

__all__ = [
    "epic100_metrics",
    "labelled_scorer",
    "marginalize",
    "mean_top_k_recall_score",
    "mean_top_k_recall_scorer",
    "per_class_top_k_recall",
    "time_to_action",
    "top_k_accuracy",
    "top_k_scorer",
]
