"""A teacher that reads past actions as a text, and the language model below it."""

from skanticipate.teachers.language.masked_language import pretrain_language_model
from skanticipate.teachers.language.teacher import LanguageTeacher

__all__ = ["LanguageTeacher", "pretrain_language_model"]
