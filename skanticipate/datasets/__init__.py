"""Annotated action segments: reading, fetching, history, clips; synthetic sets."""

from skanticipate.datasets._clips import cut_pairs
from skanticipate.datasets._drift import make_drifting_maps
from skanticipate.datasets._fetch import fetch_egtea, fetch_epic55, fetch_epic100
from skanticipate.datasets._kitchen import make_kitchen
from skanticipate.datasets._pairs import unlabeled_pairs
from skanticipate.datasets._readers import (
    many_shot_actions,
    read_actions,
    read_class_list,
    read_classes,
    read_segments,
)
from skanticipate.datasets._segments import label_history, label_sequences

__all__ = [
    "cut_pairs",
    "fetch_egtea",
    "fetch_epic55",
    "fetch_epic100",
    "label_history",
    "label_sequences",
    "make_drifting_maps",
    "make_kitchen",
    "many_shot_actions",
    "read_actions",
    "read_class_list",
    "read_classes",
    "read_segments",
    "unlabeled_pairs",
]
