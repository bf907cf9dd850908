"""Label priors: what a label says about the other classes, as soft targets."""

from .base import BasePrior
from .glove import GloVePrior
from .labels import ArrayPrior, UniformPrior, VerbNounPrior
from .mixture import MixturePrior
from .transitions import TemporalPrior, TransitionPrior
from .word_vectors import read_word_vectors

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
