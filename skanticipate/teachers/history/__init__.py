"""A teacher that reads the labels of past actions."""

from skanticipate.teachers.history.teacher import HistoryTeacher

__all__ = ["HistoryTeacher"]
