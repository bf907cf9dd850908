"""Teachers: what they see, their student may not."""

from skanticipate.teachers.ensemble import TeacherEnsemble
from skanticipate.teachers.recognition import RecognitionTeacher

__all__ = ["RecognitionTeacher", "TeacherEnsemble"]
