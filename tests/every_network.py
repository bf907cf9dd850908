"""Every network of `networks`, small: a new one is among them by itself."""

import inspect

from skanticipate import RULSTM, networks

SPECS = {
    name: kind
    for name, kind in vars(networks).items()
    if name in networks.__all__
    and inspect.isclass(kind)
    and issubclass(kind, networks.NetworkSpec)
    and kind is not networks.NetworkSpec
}
STAGES = {"time_step": 0.25, "anticipation_steps": 2, "anticipation_time": 0.25}
BRANCHES = [
    (name, RULSTM(8, **STAGES), columns)
    for name, columns in (("a", (0, 3)), ("b", (3, None)))
]
SMALL = {  # what is not small by default, or needs an argument
    "LSTM": {"hidden_size": 12, "n_layers": 2, **STAGES},
    "RULSTM": {"hidden_size": 12, **STAGES},
    "EncoderDecoderLSTM": {"hidden_size": 12, **STAGES},
    "AVTHead": {"inner_size": 8, "n_heads": 2, **STAGES},
    "AttentiveProbe": {"n_heads": 2, "n_blocks": 2},
    "FeatureMapNet": {"hidden_size": 8},
    "InceptionTail": {"width": 0.02, "crop_size": 3},
    "ModalityAttention": {"branches": BRANCHES},
}
