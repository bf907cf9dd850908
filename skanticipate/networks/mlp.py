"""Multilayer perceptron over pooled features, short sequences or codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import NamedTuple

import torch
from sklearn.utils._param_validation import HasMethods
from torch import nn

from skanticipate._typing import Shape, Weights
from skanticipate.data.numbers import SIZE, Interval
from skanticipate.data.parameters import check_own
from skanticipate.networks.bare import classifier, skip_init
from skanticipate.networks.base import Dropout, NetworkSpec, Output, initialize
from skanticipate.networks.heads import VerbNounHead
from skanticipate.networks.inputs import clip_input
from skanticipate.networks.pretrained import WEIGHTS_CONSTRAINT


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
    embedding_std : float, default=0.1
        Standard deviation of the embeddings' initial values. Small values learn more
        from rare codes, and suit long tails; 1 is torch's default.
    input_dropout : float, default=0.0
        Share of the inputs, or of the entries of their embeddings, that is dropped in
        training.
    dropout : float, default=0.0
        Share of the hidden units that is dropped in training.
    head : VerbNounHead, default=None
        How hidden units become scores of the classes; None means a linear layer.
    {weights}

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
        "hidden_size": [SIZE, tuple, list],
        "embedding": [SIZE, None],
        "embedding_std": [Interval(Real, 0, None, closed="neither")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "head": [HasMethods(["fit", "build"]), None],
        "weights": WEIGHTS_CONSTRAINT,
    }
    uses_global_rng = False
    stacks = True
    _looks = "it reads all values of a clip at once"

    def __init__(
        self,
        hidden_size: int | Sequence[int] = 128,
        *,
        embedding: int | None = None,
        embedding_std: float = 0.1,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        head: VerbNounHead | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.embedding = embedding
        self.embedding_std = embedding_std
        self.input_dropout = input_dropout
        self.dropout = dropout
        self.head = head
        self.weights = weights

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network; see `NetworkSpec.build`."""
        check_own(self)
        return initialize(_MLP(self, input_shape, n_classes), generator)

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...]:
        """One position: the hidden units."""
        return (1,)


class Perceptron(nn.Module):
    """Hidden layers over the last axis of their input, and a classifier to come."""

    def __init__(self, spec, reader, width, n_classes):
        super().__init__()
        self.input = reader
        sizes = spec.hidden_size
        is_one = isinstance(sizes, Integral)  # which was checked
        sizes = (sizes,) if is_one else tuple(sizes)
        if not (is_one or (sizes and all(map(SIZE.is_satisfied_by, sizes)))):
            raise ValueError(
                f"hidden_size must hold positive integers up to {SIZE.right}, got "
                f"{sizes}."
            )
        self.layers = nn.ModuleList(
            skip_init(nn.Linear, *pair) for pair in pairwise((width, *sizes))
        )
        self.input_dropout = Dropout(spec.input_dropout)
        self.dropout = Dropout(spec.dropout)
        self.classifier = classifier(spec, sizes[-1], n_classes)

    def hidden_units(self, x):
        """(..., width) -> (..., H)."""
        if not self.training:  # nothing is dropped
            for layer in self.layers:
                x = layer(x).relu()
            return x
        hidden = self.input_dropout(x)
        for layer in self.layers:
            hidden = self.dropout(layer(hidden).relu())
        return hidden


class _MLP(Perceptron):
    def __init__(self, spec, input_shape, n_classes):
        reader = None if len(input_shape) == 1 else clip_input(spec, input_shape)
        n_features = input_shape[0]
        if reader is not None:
            n_features *= reader.n_outputs
        super().__init__(spec, reader, n_features, n_classes)
        self.n_layers = len(self.layers) + 1
        # What a derived spec builds may have other layers in the end.
        plain = type(spec) is MLP and spec.head is None and spec.embedding is None
        self.is_closed = plain and spec.dropout == spec.input_dropout == 0

    def forward(self, clips):
        hidden = self.hidden_units(self._rows(clips))  # (B, H)
        return Output(self.classifier(hidden).unsqueeze(1), hidden.unsqueeze(1))

    def _rows(self, clips):
        """(B, d) or (B, T, ...) -> (B, e)."""
        if self.input is None:
            return clips
        steps, _ = self.input(clips)  # (B, T, e)
        return steps.flatten(1)

    def closed_form(self, clips, parameters):
        """What the network says of a batch, with its gradients.   -> ClosedForm.

        For one that `is_closed`. The first of `parameters` are those of the network, or
        of a stack of networks.
        """
        n = 2 * self.n_layers
        weights, biases = parameters[0:n:2], parameters[1:n:2]
        rows, is_stack = self._rows(clips), weights[0].ndim == 3
        if is_stack:
            rows = rows.unflatten(0, (len(weights[0]), -1))  # (K, B, e)
        inputs, logits = forward(rows, weights, biases)
        hidden = inputs[-1]

        def gradients(d_logits, d_features):
            if is_stack:
                d_logits = None if d_logits is None else d_logits.view_as(logits)
                d_features = None if d_features is None else d_features.view_as(hidden)
            pairs = backward(inputs, weights, d_logits, d_features)
            return [gradient for pair in pairs for gradient in pair]

        if is_stack:
            found = logits.flatten(0, 1), hidden.flatten(0, 1)  # (K B, ...)
        else:
            found = logits, hidden
        return ClosedForm(*found, gradients, n)


# ------------------------------------------------------- products and their gradients
#
# A network of a few small layers spends more time in autograd than in its products.
# What follows computes one network, or K of them: weights (h, e) and rows (B, e), or
# weights (K, h, e) and rows (K, B, e).


class ClosedForm(NamedTuple):
    """What a network says of a batch, and how its gradients are made from theirs.

    ``backward(d_logits, d_features)``, each None where nothing depends on it, gives the
    gradients of the `n_parameters` of the network, in order; None for what is not
    moved.
    """

    logits: torch.Tensor  # (B, C)
    features: torch.Tensor  # (B, d)
    backward: Callable
    n_parameters: int


def forward(rows, weights, biases):
    """Inputs of each layer, and the outputs of the last, which is linear.

    Parameters
    ----------
    rows : tensor of shape (B, e) or (K, B, e)
    weights, biases : lists of tensors
        Of each layer, (h, e) and (h,) or (K, h, e) and (K, h).

    Returns
    -------
    inputs : list of tensors
        Of each layer: `rows`, then hidden units.
    outputs : tensor of shape (B, C) or (K, B, C)
    """
    inputs = [rows]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        inputs.append(_affine(inputs[-1], weight, bias).relu_())
    return inputs, _affine(inputs[-1], weights[-1], biases[-1])


def backward(inputs, weights, d_outputs, d_hidden=None):
    """Gradients of weights and biases, a pair for each layer.

    Parameters
    ----------
    inputs, weights : lists of tensors
        As `forward` gave and took them.
    d_outputs : tensor of shape (B, C) or (K, B, C), or None
        Gradient of the outputs.
    d_hidden : tensor of shape (B, H) or (K, B, H), or None
        What else is the gradient of the last hidden units.

    Returns
    -------
    list of (weight, bias) gradients
    """
    if d_outputs is None:
        gradients, d = [(None, None)], d_hidden
    else:
        gradients = [(d_outputs.mT @ inputs[-1], d_outputs.sum(-2))]
        d = d_outputs @ weights[-1]
        d = d if d_hidden is None else d.add_(d_hidden)
    for k in reversed(range(len(weights) - 1)):
        d = torch.ops.aten.threshold_backward(d, inputs[k + 1], 0)
        gradients.append((d.mT @ inputs[k], d.sum(-2)))
        if k > 0:
            d = d @ weights[k]
    return gradients[::-1]


def _affine(rows, weight, bias):
    if weight.ndim == 2:
        return torch.addmm(bias, rows, weight.T)
    return torch.baddbmm(bias.unsqueeze(1), rows, weight.mT)
