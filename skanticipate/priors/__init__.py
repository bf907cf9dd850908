"""Label priors: what a label says about the other classes, as soft targets."""

from skanticipate.priors.base import BasePrior
from skanticipate.priors.glove import GloVePrior
from skanticipate.priors.labels import ArrayPrior, UniformPrior, VerbNounPrior
from skanticipate.priors.mixture import MixturePrior
from skanticipate.priors.transitions import TemporalPrior, TransitionPrior
from skanticipate.priors.word_vectors import read_word_vectors

__all__ = [
    "ArrayPrior",
    "BasePrior",
    "GloVePrior",
    "MixturePrior",
    "TemporalPrior",
    "TransitionPrior",
    "UniformPrior",
    "VerbNounPrior",
    "read_word_vectors",
]
