"""Transformers in front of an anticipator: frames of clips, past action labels."""

from skanticipate.preprocessing.frames import PerFrame
from skanticipate.preprocessing.history import HistoryEncoder

__all__ = ["HistoryEncoder", "PerFrame"]
