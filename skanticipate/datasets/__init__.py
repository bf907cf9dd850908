"""Annotated action segments: reading, fetching, their history, and a synthetic set."""

from skanticipate.datasets._fetch import fetch_egtea, fetch_epic55, fetch_epic100
from skanticipate.datasets._kitchen import make_kitchen
from skanticipate.datasets._readers import (
    many_shot_actions,
    read_actions,
    read_class_list,
    read_classes,
    read_segments,
)
from skanticipate.datasets._segments import label_history, label_sequences

__all__ = [
    "fetch_egtea",
    "fetch_epic55",
    "fetch_epic100",
    "label_history",
    "label_sequences",
    "make_kitchen",
    "many_shot_actions",
    "read_actions",
    "read_class_list",
    "read_classes",
    "read_segments",
]
