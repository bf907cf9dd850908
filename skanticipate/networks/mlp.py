"""Multilayer perceptron over pooled features, short sequences or codes."""

from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval
from torch import nn

from skanticipate.networks.base import Dropout, NetworkSpec, Output, materialize
from skanticipate.networks.inputs import clip_input, code_shape, forget_unknown


class MLP(NetworkSpec):
    """Multilayer perceptron with rectified linear units.

    The steps of a sequence are laid side by side, hence all clips need the same
    number of steps; padding steps count as zeros.

    Parameters
    ----------
    hidden_size : int or tuple of int, default=128
        Width of the hidden layer, or of each of them.
    embedding : int, default=None
        Width of the learned vector of each code, for clips of whole numbers
        (n, T, k) as `HistoryEncoder` gives them. None means that clips are features.
    dropout : float, default=0.0
        Share of the inputs, or of their embeddings, and of the hidden units that are
        dropped in training.

    Examples
    --------
    >>> import torch
    >>> from skanticipate import MLP
    >>> spec = MLP(hidden_size=(64, 32))
    >>> network = spec.build((16,), 5, generator=torch.Generator().manual_seed(0))
    >>> network(torch.zeros(8, 16)).logits.shape
    torch.Size([8, 1, 5])
    """

    _parameter_constraints = {
        "hidden_size": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "embedding": [Interval(Integral, 1, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }
    uses_global_rng = False

    def __init__(self, hidden_size=128, *, embedding=None, dropout=0.0):
        self.hidden_size = hidden_size
        self.embedding = embedding
        self.dropout = dropout

    def build(self, input_shape, n_classes, *, generator):
        """Build the network; see `NetworkSpec.build`."""
        self._validate_params()
        sizes = self.hidden_size
        sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
        if not sizes or any(not isinstance(n, Integral) or n < 1 for n in sizes):
            raise ValueError(f"hidden_size must hold positive integers, got {sizes}.")
        with torch.device("meta"):
            module = _MLP(input_shape, n_classes, sizes, self.embedding, self.dropout)
        return forget_unknown(materialize(module, generator))

    def input_shape_of(self, rows):
        """Shape of a clip; of clips of codes also the sizes of their tables."""
        if self.embedding is None:
            return super().input_shape_of(rows)
        return code_shape(rows)


class _MLP(nn.Module):
    def __init__(self, input_shape, n_classes, sizes, embedding, dropout):
        super().__init__()
        if len(input_shape) == 1:
            self.input, width = None, input_shape[0]
        else:
            self.input = clip_input(input_shape, embedding)
            width = self.input.n_outputs * input_shape[0]
        widths = (width, *sizes)
        self.layers = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
        self.dropout = Dropout(dropout) if dropout else None
        self.classifier = nn.Linear(widths[-1], n_classes)

    def forward(self, clips):
        if self.input is not None:
            steps, _ = self.input(clips)  # (B, T, e)
            clips = steps.flatten(1)
        hidden = self._drop(clips)
        for layer in self.layers:
            hidden = self._drop(layer(hidden).relu())  # (B, H)
        return Output(self.classifier(hidden).unsqueeze(1), hidden.unsqueeze(1))

    def _drop(self, x):
        return x if self.dropout is None else self.dropout(x)
