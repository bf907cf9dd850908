"""Every network of `networks`, small: a new one is among them by itself."""

import inspect

import numpy as np
import torch

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
SHAPES = [(8,), (6, 8), (4, 3, 3, 8)]  # features, sequences, maps


def own_loss(output):
    """The mean of a network's own losses (B,), each as often as it counts."""
    losses, counts = output.auxiliary_loss, output.auxiliary_counts
    return losses.mean() if counts is None else losses @ counts / counts.sum()


def built(name, scale=1.0):
    """Network in float64 without dropout, and clips (B, ...) of its kind."""
    spec = SPECS[name](**SMALL.get(name, {}))
    zero = {key: 0.0 for key in spec.get_params() if key.endswith("dropout")}
    spec.set_params(**zero)
    for shape in SHAPES:
        try:
            network = spec.build(shape, 5, generator=torch.Generator().manual_seed(0))
            break
        except ValueError as error:  # such clips are none of its kind
            said = error
    else:
        raise said
    with torch.no_grad():
        for weight in network.parameters():
            weight *= scale  # as training makes them larger
    clips = np.random.default_rng(1).normal(size=(7, *shape)).astype(np.float32)
    return spec, network.double(), torch.from_numpy(clips)
