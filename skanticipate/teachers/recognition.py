"""RecognitionTeacher: names the action in a clip that its student may not see."""

from skanticipate.estimator.base import BaseAnticipator
from skanticipate.signals.labels import LabelSignal


class RecognitionTeacher(BaseAnticipator):
    """Recognise the action in a clip: the teacher of `DistilledAnticipator`.

    A classifier of clips like any other, trained on labels alone. As a teacher it sees
    the clip of the action itself, or what comes after it, while its student sees only
    what comes before. Its soft answers teach by `teacher_weight` and on unlabelled
    rows, its map by `feature_weight`, and a student of the same network can start from
    its weights. `DistilledAnticipator(teacher=None)` makes one with its own parameters.

    Parameters
    ----------
    network : NetworkSpec, default=None
        The network to train. None picks `MLP` for clips (n, d), `LSTM` for sequences
        (n, T, d) and `FeatureMapNet` for maps (n, ..., d).
    {shared parameters}

    Attributes
    ----------
    {shared attributes}

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: the recognition network R.

    Examples
    --------
    >>> from skanticipate import RecognitionTeacher
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> teacher = RecognitionTeacher(max_epochs=20, random_state=0)
    >>> teacher.fit(kitchen.X_future[:480], kitchen.y[:480])
    RecognitionTeacher(max_epochs=20, random_state=0)
    >>> teacher.feature_map(kitchen.X_future[480:]).shape
    (120, 1, 128)
    """

    def _signals(self, *, X_future_unlabeled, past_actions, y_past, teacher_proba):
        return [LabelSignal(y_past)]
