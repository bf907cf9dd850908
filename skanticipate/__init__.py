"""Anticipate human actions from precomputed features.

A teacher knows what the student may not see. Whatever it knows is reduced to soft
targets, so there is one student, one objective and one training loop.
"""

from skanticipate import datasets, losses, metrics, plotting, presets
from skanticipate._version import __version__
from skanticipate.anticipators import (
    DistilledAnticipator,
    LateFusion,
    ReplicaEnsemble,
    SmoothedAnticipator,
)
from skanticipate.data.rows import RowView
from skanticipate.estimator.export import export_onnx
from skanticipate.estimator.registry import register
from skanticipate.estimator.saving import load, save
from skanticipate.estimator.stream import Stream, stream
from skanticipate.estimator.wanted import fit_many
from skanticipate.model_selection import (
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    SemiSupervisedSplit,
)
from skanticipate.networks import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    EncoderDecoderLSTM,
    FeatureMapNet,
    FrameMLP,
    InceptionTail,
    ModalityAttention,
    NetworkSpec,
    Output,
    VerbNounHead,
)
from skanticipate.preprocessing import (
    HistoryEncoder,
    HistoryText,
    LastAxisSlice,
    PerFrame,
    pad_clips,
)
from skanticipate.priors import (
    ArrayPrior,
    GloVePrior,
    MixturePrior,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
)
from skanticipate.teachers import (
    HistoryTeacher,
    LanguageTeacher,
    RecognitionTeacher,
    TeacherEnsemble,
)
from skanticipate.teachers.history.ngrams import BackOffNGrams
from skanticipate.teachers.history.templates import ActionTemplates
from skanticipate.terms.focal import FocalLoss
from skanticipate.terms.marginals import MarginalLoss
from skanticipate.training.ranks import data_parallel
from skanticipate.training.schedules import (
    CosineSchedule,
    MultiStepSchedule,
    Schedule,
    StepSchedule,
    StretchedSchedule,
)

__all__ = [
    "LSTM",
    "MLP",
    "RULSTM",
    "AVTHead",
    "ArrayPrior",
    "AttentiveProbe",
    "BatchedGridSearchCV",
    "BatchedRandomizedSearchCV",
    "CosineSchedule",
    "DistilledAnticipator",
    "EncoderDecoderLSTM",
    "FeatureMapNet",
    "FocalLoss",
    "FrameMLP",
    "GloVePrior",
    "HistoryEncoder",
    "HistoryTeacher",
    "HistoryText",
    "InceptionTail",
    "LanguageTeacher",
    "LastAxisSlice",
    "LateFusion",
    "MarginalLoss",
    "MixturePrior",
    "MultiStepSchedule",
    "ModalityAttention",
    "NetworkSpec",
    "Output",
    "PerFrame",
    "RecognitionTeacher",
    "ReplicaEnsemble",
    "RowView",
    "Schedule",
    "SemiSupervisedSplit",
    "SmoothedAnticipator",
    "StepSchedule",
    "Stream",
    "TeacherEnsemble",
    "TemporalPrior",
    "TransitionPrior",
    "UniformPrior",
    "VerbNounHead",
    "VerbNounPrior",
    "__version__",
    "data_parallel",
    "datasets",
    "export_onnx",
    "fit_many",
    "load",
    "losses",
    "metrics",
    "pad_clips",
    "plotting",
    "presets",
    "save",
    "stream",
]

# What files may hold: what is exported, and what stands inside of it.
register(*(kind for kind in map(globals().get, __all__) if isinstance(kind, type)))
register(ActionTemplates, BackOffNGrams, StretchedSchedule)
