"""Classifiers that answer what they are told and remember what they saw."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from skanticipate import RowView

CLASSES = np.array(["cut", "open", "pour", "wash"])
CODES = np.arange(40) % 4
CLIPS = np.random.default_rng(0).normal(size=(40, 3)) + 2 * np.eye(4, 3)[CODES]
ROWS = RowView(CLIPS)
Y = CLASSES[CODES]


class Answering(ClassifierMixin, BaseEstimator):
    """Gives the answers it was made with, and remembers what it was fitted on."""

    def __init__(self, answers=None, labels=None):
        self.answers = answers
        self.labels = labels

    def fit(self, X, y):
        self.X_, self.y_ = X, y
        self.classes_ = np.unique(y) if self.labels is None else np.array(self.labels)
        return self

    def predict_proba(self, X):
        if self.answers is None:
            return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))
        return np.asarray(self.answers)[: len(X)]


class Signalled(Answering):
    def fit(self, X, y, groups=None, sample_weight=None):
        self.groups_, self.sample_weight_ = groups, sample_weight
        return super().fit(X, y)
