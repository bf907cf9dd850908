"""What comes before an anticipator: frames of clips, their padding, past labels."""

from skanticipate.preprocessing.frames import PerFrame
from skanticipate.preprocessing.history import HistoryEncoder
from skanticipate.preprocessing.padding import pad_clips
from skanticipate.preprocessing.slices import LastAxisSlice
from skanticipate.preprocessing.text import HistoryText

__all__ = ["HistoryEncoder", "HistoryText", "LastAxisSlice", "PerFrame", "pad_clips"]
