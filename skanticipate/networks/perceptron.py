"""Layers of rectified linear units with the gradient made by hand.

A network of a few small layers spends more time in autograd than in its products. What
stands here computes one network, or K of them: weights (h, e) and rows (B, e), or
weights (K, h, e) and rows (K, B, e).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch


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
