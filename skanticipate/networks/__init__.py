"""Network specs: scikit-learn estimators that build torch modules."""

from skanticipate.networks.base import NetworkSpec, Output
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.lstm import LSTM
from skanticipate.networks.mlp import MLP

__all__ = ["LSTM", "MLP", "NetworkSpec", "Output", "VerbNounHead"]
