"""What comes before an anticipator: frames of clips, their padding, past labels."""

from skanticipate.preprocessing.frames import PerFrame
from skanticipate.preprocessing.history import HistoryEncoder
from skanticipate.preprocessing.padding import pad_clips
from skanticipate.preprocessing.slices import LastAxisSlice

__all__ = ["HistoryEncoder", "LastAxisSlice", "PerFrame", "pad_clips"]
