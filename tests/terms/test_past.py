"""The loss of the steps that were seen, by a loop over frames in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_terms import CPU, log_softmax
from naive_transformer import (
    NAN,
    C,
    T,
    affine,
    built,
    naive_guesses,
    named,
    random_clips,
    shaken,
)
from numpy.testing import assert_allclose

from skanticipate import AVTHead, Output
from skanticipate.terms.objective import Objective
from skanticipate.terms.past import PastTerm
from skanticipate.training.batches import Batch

N = 6
SPEC = AVTHead(6, n_heads=2, layer_dropout=0.0, anticipation_steps=2)


def naive_scores(weights, clip):
    """Scores of the real steps of a clip (T, D): the first frame, then guesses."""
    frames = clip[~np.isnan(clip[:, 0])]
    past = np.vstack([frames[:1], naive_guesses(weights, SPEC, frames)[:-1]])
    return affine(past, weights, "classifier")


def naive_sums(weights, clips, codes, sample_weight):
    """Sum of weighted losses of all frames with a label, and of their weights."""
    loss = total = 0.0
    for clip, own, weight in zip(clips, codes, sample_weight, strict=True):
        real = ~np.isnan(clip[:, 0])
        if real.any():
            scores = iter(naive_scores(weights, clip))
            for code in own[real]:
                scored = log_softmax(list(next(scores)))
                if code >= 0:
                    loss -= weight * scored[code]
                    total += weight
    return loss, total


def padded_clips(padding):
    clips = random_clips(N)
    clips[torch.tensor(padding)] = NAN
    return clips


def given_codes(codes, clips):
    """Codes as the signal gives them: padding has none."""
    return np.where(np.isnan(clips[..., 0]), -1, codes)


def scored(clips):
    network = shaken(built(SPEC)).train()
    network.scores_past = True
    return network, network(clips)


rows = st.lists(st.integers(-1, C - 1), min_size=T, max_size=T)
masks = st.lists(st.booleans(), min_size=T, max_size=T)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(rows, min_size=N, max_size=N),
    st.lists(masks, min_size=N, max_size=N),
    st.booleans(),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=5),
)
def test_loss_is_the_mean_over_frames_with_a_label(codes, padding, weighted, taken):
    clips = padded_clips(padding)
    codes = given_codes(codes, clips.numpy())
    weight = np.linspace(0.5, 2, N) if weighted else np.ones(N)
    term = PastTerm(0.1, codes, weight if weighted else None, CPU)
    network, output = scored(clips[taken])
    found = term(output, Batch(torch.tensor(taken), clips[taken]))
    loss, total = naive_sums(
        named(network), clips.numpy()[taken], codes[taken], weight[taken]
    )
    if total == 0:
        assert found is None
        return
    assert_allclose([float(x.detach()) for x in found], [loss, total], atol=1e-10)
    objective = Objective([term])
    whole = objective.total({"past": found})
    assert_allclose(float(whole.detach()), 0.1 * loss / total, atol=1e-10)


def test_gradients_are_those_of_one_sum_over_frames():
    clips = random_clips(N)
    rng = np.random.default_rng(0)
    codes, weight = rng.integers(-1, C, (N, T)), rng.uniform(0.5, 2, N)
    network, output = scored(clips)
    losses, counts = PastTerm(1.0, codes, weight, CPU)(
        output, Batch(torch.arange(N), clips)
    )
    guesses = output.features  # those of the next frames
    total = 0.0
    for b, t in zip(*np.nonzero(codes >= 0), strict=True):
        frame = clips[b, 0] if t == 0 else guesses[b, t - 1]
        scores = network.classifier.weight @ frame + network.classifier.bias
        total = total + weight[b] * (scores.logsumexp(0) - scores[codes[b, t]])
    total = total / sum(weight[b] * (codes[b] >= 0).sum() for b in range(N))
    parameters = list(network.parameters())
    found, expected = (
        torch.autograd.grad(x, parameters, retain_graph=True, allow_unused=True)
        for x in (losses / counts, total)
    )
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert_allclose(a, b, atol=1e-10)


def test_past_is_scored_in_training_only_and_where_it_is_asked_for():
    network, clips = built(AVTHead(8, past_weight=1.0)), random_clips()
    assert network(clips).past_logits is None
    network.scores_past = True
    assert network(clips).past_logits is None
    network = built(AVTHead(8, past_weight=1.0, layer_dropout=0.0)).train()
    assert network(clips).past_logits is None
    network.scores_past = True
    assert network(clips).past_logits.shape == (5, T, C)
    assert network(clips[:, :1]).past_logits.shape == (5, 1, C)


def test_a_network_without_scores_of_the_past_is_told_of():
    term = PastTerm(1.0, np.zeros((2, T), dtype=int), None, CPU)
    batch = Batch(torch.arange(2), None)
    with pytest.raises(TypeError, match="gives no past_logits: return Output"):
        term(Output(torch.zeros(2, 1, C)), batch)


def test_the_term_is_trained_alone():
    assert PastTerm(1.0, np.zeros((2, T), dtype=int), None, CPU).kind is None
