"""Network specs: scikit-learn estimators that build torch modules."""

from skanticipate.networks.attentive import AttentiveProbe
from skanticipate.networks.base import NetworkSpec, Output
from skanticipate.networks.encoder_decoder import EncoderDecoderLSTM
from skanticipate.networks.feature_map import FeatureMapNet
from skanticipate.networks.frame_mlp import FrameMLP
from skanticipate.networks.fusion import ModalityAttention
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inception import InceptionTail
from skanticipate.networks.lstm import LSTM
from skanticipate.networks.mlp import MLP
from skanticipate.networks.rulstm import RULSTM
from skanticipate.networks.transformer import AVTHead

__all__ = [
    "LSTM",
    "MLP",
    "RULSTM",
    "AVTHead",
    "AttentiveProbe",
    "EncoderDecoderLSTM",
    "FeatureMapNet",
    "FrameMLP",
    "InceptionTail",
    "ModalityAttention",
    "NetworkSpec",
    "Output",
    "VerbNounHead",
]
