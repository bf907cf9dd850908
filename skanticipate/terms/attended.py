"""What several teachers answer, mixed by an attention that is trained for it."""

import math

import torch
from torch import nn

from skanticipate.networks.bare import skip_init
from skanticipate.networks.base import initialize
from skanticipate.terms.objective import Term, taken


class TeacherAttention(nn.Module):
    """How much each teacher counts, by what the student makes of a clip.

    ``mean over heads h of softmax_m(q_h . k_hm / sqrt(e))`` with queries q from the
    student's features and keys k from the teachers': the weights of multi-head
    attention, whose output is not used.

    Parameters
    ----------
    width, key_width : int
        Channels of the student's features, and of what keys are made from.
    n_heads : int
        Each has ``e = ceil(width / n_heads)`` channels.
    n_named : int
        Number of teachers that have a learned vector of their own added to their keys,
        which starts at 0; 0 for none.
    """

    def __init__(self, width, key_width, n_heads, n_named):
        super().__init__()
        self.n_heads = n_heads
        inner = n_heads * math.ceil(width / n_heads)
        self.query = skip_init(nn.Linear, width, inner)
        self.key = skip_init(nn.Linear, key_width, inner)
        self.names = skip_init(nn.Embedding, n_named, inner) if n_named else None

    def start(self):
        """Let teachers begin alike."""
        if self.names is not None:
            nn.init.zeros_(self.names.weight)

    def forward(self, asking, told):
        """(B, width), (B, M, key_width) -> shares (B, M), rows of sum 1."""
        queries, keys = self.query(asking), self.key(told)
        if self.names is not None:
            keys = keys + self.names.weight
        queries = queries.unflatten(-1, (self.n_heads, -1))  # (B, h, e)
        keys = keys.unflatten(-1, (self.n_heads, -1))  # (B, M, h, e)
        scores = torch.einsum("bhe,bmhe->bhm", queries, keys)
        return (scores / math.sqrt(queries.shape[-1])).softmax(-1).mean(1)


class AttendedTerm(Term):
    """Divergence from a mixture of teachers whose weights are learned.

    ``T^2 * KL(q || p^(1/T))`` with ``q = softmax(sum_m a_m log p_m / T)``, where
    log-probabilities stand for the logits of teachers and `a` is what a
    `TeacherAttention` finds. Gradients flow into the student by p, and into the
    attention by q; not into the student by its query, which would teach it to ask for
    those who agree with it.

    Parameters
    ----------
    name, weight, has, sample_weight, compute : object
        As in `Term`.
    proba : ndarray of shape (m, M, C)
        What each of M teachers says.
    features : ndarray of shape (m, M, d) or None
        What keys are made from. None: from `proba`, and a vector of each teacher.
    index : ndarray of shape (n,)
        Row of each sample in `proba`; any row where it has none.
    width : int
        Channels of the student's features.
    n_heads : int
        Of the attention.
    temperature : float
        T.
    top_k : int or None
        Number of classes that are compared, those of largest q; None means all.
    seed : int
        Of the attention's initial weights.
    """

    def __init__(
        self,
        name,
        weight,
        has,
        sample_weight,
        compute,
        *,
        proba,
        features,
        index,
        width,
        n_heads,
        temperature,
        top_k,
        seed,
    ):
        n_classes = proba.shape[-1]
        super().__init__(name, weight, has, sample_weight, compute, n_classes=n_classes)
        self.temperature, self.top_k = temperature, top_k
        self.index = compute.indices(index)
        told = compute.floats(proba)
        self.logs = told.clamp(min=torch.finfo(told.dtype).tiny).log()
        self.told = told if features is None else compute.floats(features)
        n_named = proba.shape[1] if features is None else 0
        attention = TeacherAttention(width, self.told.shape[-1], n_heads, n_named)
        generator = torch.Generator().manual_seed(seed)
        self.attention = compute.place(initialize(attention, generator))
        self.modules = {"attention": self.attention}

    def losses(self, output, batch, samples, rows):
        """Divergence of each row that is taken.   -> (B,) or (B',)."""
        index = self.index[samples]
        asking = taken(_pooled(output), rows).detach()
        shares = self.attention(asking, self.told[index])  # (B', M)
        mixed = torch.einsum("bm,bmc->bc", shares, self.logs[index])
        logits = taken(output.logits, rows)  # (B', S, C)
        if self.top_k is not None:
            kept = mixed.detach().topk(self.top_k).indices  # (B', k)
            mixed = mixed.gather(-1, kept)
            kept = kept.unsqueeze(1).expand(-1, logits.shape[1], -1)
            logits = logits.gather(-1, kept)  # (B', S, k)
        expected = (mixed / self.temperature).log_softmax(-1)
        own = (logits / self.temperature).log_softmax(-1).mean(1)  # over the stages
        apart = (expected.exp() * (expected - own)).sum(-1)
        return apart * self.temperature**2


def _pooled(output):
    """Mean of the features over the positions that are real.   -> (B, d)."""
    if output.mask is None:
        return output.features.mean(1)
    real = output.mask.unsqueeze(-1)
    features = torch.where(real, output.features, 0)
    return features.sum(1) / real.sum(1).clamp(min=1)
