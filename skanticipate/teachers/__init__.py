"""Teachers: what they see, their student may not."""

from skanticipate.teachers.ensemble import TeacherEnsemble
from skanticipate.teachers.history import HistoryTeacher
from skanticipate.teachers.language import LanguageTeacher, pretrain_language_model
from skanticipate.teachers.recognition import RecognitionTeacher

__all__ = [
    "HistoryTeacher",
    "LanguageTeacher",
    "RecognitionTeacher",
    "TeacherEnsemble",
    "pretrain_language_model",
]
