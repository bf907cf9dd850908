"""Pictures of what was learnt: Display classes in the manner of scikit-learn."""

from skanticipate.plotting.anticipation_curve import (
    AnticipationCurveDisplay,
    results_table,
)
from skanticipate.plotting.attention_map import AttentionMapDisplay
from skanticipate.plotting.history import HistoryDisplay
from skanticipate.plotting.label_fraction import LabelFractionDisplay
from skanticipate.plotting.prior import PriorDisplay
from skanticipate.plotting.top_predictions import TopPredictionsDisplay

__all__ = [
    "AnticipationCurveDisplay",
    "AttentionMapDisplay",
    "HistoryDisplay",
    "LabelFractionDisplay",
    "PriorDisplay",
    "TopPredictionsDisplay",
    "results_table",
]
