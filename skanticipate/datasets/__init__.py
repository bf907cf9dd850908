"""Annotated action segments: reading, fetching, history, clips; synthetic sets."""

from skanticipate.datasets._clips import cut_pairs
from skanticipate.datasets._converted import read_hdf5, read_lmdb
from skanticipate.datasets._cut import cut_clips
from skanticipate.datasets._drift import make_drifting_maps
from skanticipate.datasets._epic import load_epic
from skanticipate.datasets._features import FeatureTable, open_features
from skanticipate.datasets._fetch import fetch_egtea, fetch_epic55, fetch_epic100
from skanticipate.datasets._fraction import first_fraction
from skanticipate.datasets._framewise import read_framewise
from skanticipate.datasets._kitchen import make_kitchen
from skanticipate.datasets._npy import read_npy
from skanticipate.datasets._pairs import unlabeled_pairs
from skanticipate.datasets._readers import (
    many_shot_actions,
    read_actions,
    read_class_list,
    read_classes,
    read_video_info,
)
from skanticipate.datasets._segments import label_history, label_sequences
from skanticipate.datasets._submission import write_submission
from skanticipate.datasets._submission_check import validate_submission
from skanticipate.datasets._tables import read_segments

__all__ = [
    "FeatureTable",
    "cut_clips",
    "cut_pairs",
    "fetch_egtea",
    "fetch_epic55",
    "fetch_epic100",
    "first_fraction",
    "label_history",
    "label_sequences",
    "load_epic",
    "make_drifting_maps",
    "make_kitchen",
    "many_shot_actions",
    "open_features",
    "read_actions",
    "read_class_list",
    "read_classes",
    "read_framewise",
    "read_hdf5",
    "read_lmdb",
    "read_npy",
    "read_segments",
    "read_video_info",
    "unlabeled_pairs",
    "validate_submission",
    "write_submission",
]
