"""K networks of one architecture as one module, for batches one after another.

The stack is a network of the same classes, whose leaves hold the weights of all: a
batch is (K B, ...), the B rows of the first network, then those of the second. Only
leaves know of K; what stands between them takes rows as they come.
"""

import copy

import torch
from torch import nn
from torch.nn import functional

from skanticipate.networks.affine import affine
from skanticipate.networks.base import Dropout
from skanticipate.networks.heads import VerbNounClassifier
from skanticipate.networks.stacked_recurrence import run_gru, run_lstm


class StackedLeaf(nn.Module):
    """Leaf of a stack; its parameters are those of a leaf, with a leading axis K.

    Parameters
    ----------
    leaf : torch.nn.Module
        That of one of the networks, which tells the sizes.
    """

    def __init__(self, leaf):
        super().__init__()
        for name, parameter in leaf.named_parameters(recurse=False):
            setattr(self, name, nn.Parameter(parameter.detach().unsqueeze(0)))


class StackedLinear(StackedLeaf):
    """(K B, ..., e) -> (K B, ..., h)."""

    def __init__(self, leaf):
        super().__init__(leaf)
        if leaf.bias is None:
            self.bias = None

    def forward(self, x):
        """Products of each network's rows with its own matrix."""
        return affine(x, self.weight, self.bias)


class StackedEmbedding(StackedLeaf):
    """Codes (K B, ...) -> vectors (K B, ..., e)."""

    def __init__(self, leaf):
        super().__init__(leaf)
        self.num_embeddings = leaf.num_embeddings

    def forward(self, codes):
        """Look up in one table that holds those of all."""
        n_models = len(self.weight)
        starts = torch.arange(n_models, device=codes.device) * self.num_embeddings
        found = codes.reshape(n_models, -1) + starts.unsqueeze(1)
        return functional.embedding(found, self.weight.flatten(0, 1)).view(
            *codes.shape, -1
        )


class StackedLayerNorm(StackedLeaf):
    """(K B, ..., h) -> the same, normalised over the last axis."""

    def __init__(self, leaf):
        super().__init__(leaf)
        self.shape, self.eps = leaf.normalized_shape, leaf.eps

    def forward(self, x):
        """Normalise, then scale and shift as each network does."""
        normed = functional.layer_norm(x, self.shape, eps=self.eps)
        rows = normed.reshape(len(self.weight), -1, *self.shape)
        rows = torch.addcmul(self.bias.unsqueeze(1), rows, self.weight.unsqueeze(1))
        return rows.view_as(x)


class StackedRecurrence(StackedLeaf):
    """(K B, T, e) -> states (K B, T, H), as LSTM and GRU of torch, batch first."""

    def __init__(self, leaf):
        super().__init__(leaf)
        self.n_layers = leaf.num_layers
        self.run = run_gru if isinstance(leaf, nn.GRU) else run_lstm

    def forward(self, steps):
        """Run all networks step by step.   -> states, None for the last one."""
        states = steps.unflatten(0, (len(self.weight_ih_l0), -1))  # (K, B, T, e)
        for k in range(self.n_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            states = self.run(states, *(getattr(self, f"{n}_l{k}") for n in names))
        return states.flatten(0, 1), None


class StackedDropout(nn.Module):
    """Dropout of which each network draws from a generator of its own.

    `generators` are lent by whoever trains: one for each network.
    """

    def __init__(self, leaf):
        super().__init__()
        self.p = leaf.p
        self.generators = None

    def forward(self, x):
        """Drop values in training, pass them in evaluation."""
        if not self.training or self.p == 0:
            return x
        keep = x.new_empty(x.shape).unflatten(0, (len(self.generators), -1))
        for own, generator in zip(keep, self.generators, strict=True):
            own.bernoulli_(1 - self.p, generator=generator)
        return x * keep.flatten(0, 1).div_(1 - self.p)


class StackedVerbNoun(nn.Module):
    """`VerbNounClassifier` of all networks, whose classes are the same."""

    def __init__(self, leaf):
        super().__init__()
        self.own, self.verb, self.noun = map(
            StackedLinear, (leaf.own, leaf.verb, leaf.noun)
        )
        self.verb_of, self.noun_of = leaf.verb_of, leaf.noun_of

    def forward(self, hidden):
        """Score an action by its verb, its noun and itself."""
        weight = (
            self.own.weight
            + self.verb.weight.index_select(1, self.verb_of)
            + self.noun.weight.index_select(1, self.noun_of)
        )  # (K, C, width)
        return affine(hidden, weight, self.own.bias)


STACKED = {
    nn.Linear: StackedLinear,
    nn.Embedding: StackedEmbedding,
    nn.LayerNorm: StackedLayerNorm,
    nn.LSTM: StackedRecurrence,
    nn.GRU: StackedRecurrence,
    Dropout: StackedDropout,
    VerbNounClassifier: StackedVerbNoun,
}


def is_leaf(module):
    """Whether a module is a leaf that can be stacked, with the options it has."""
    if isinstance(module, nn.RNNBase):
        plain = module.batch_first and module.bias and not module.bidirectional
        plain = plain and module.dropout == module.proj_size == 0
    elif isinstance(module, nn.Embedding):
        plain = module.padding_idx is None and module.max_norm is None
        plain = plain and not (module.scale_grad_by_freq or module.sparse)
    else:
        plain = not isinstance(module, nn.LayerNorm) or module.bias is not None
    return plain and type(module) in STACKED


def stacked(module):
    """A stack of so far one network, of the architecture of `module`.

    Its parameters have the names of the network's and a leading axis, along which
    others can be bound.
    """
    if is_leaf(module):
        return STACKED[type(module)](module)
    stack = copy.copy(module)
    stack._modules = {name: stacked(part) for name, part in module._modules.items()}
    return stack
