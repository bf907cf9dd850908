import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skanticipate._batches import Batch
from skanticipate._targets import LabelObjective, LabelTargets
from skanticipate.losses import soft_cross_entropy
from skanticipate.networks import Output

N, C = 12, 5
CPU32 = {"dtype": torch.float32, "device": torch.device("cpu")}
CPU64 = {"dtype": torch.float64, "device": torch.device("cpu")}


def random_terms(rng, n_terms, shared_rows):
    """Terms as a mixture of priors gives them; the weights sum to 1."""
    weights = rng.dirichlet(np.ones(n_terms))
    shared = rng.integers(0, 4, N)
    return [
        (
            rng.dirichlet(np.ones(C), size=4).astype(np.float32),
            shared if shared_rows[j] else rng.integers(0, 4, N),
            float(weights[j]),
        )
        for j in range(n_terms)
    ]


def naive_targets(codes, terms, smoothing, samples):
    """(1 - s) onehot + s * sum_j w_j matrix_j[row], an entry at a time."""
    out = np.zeros((len(samples), C))
    for b, sample in enumerate(samples):
        for c in range(C):
            prior = sum(w * float(matrix[rows[sample], c]) for matrix, rows, w in terms)
            out[b, c] = (1 - smoothing) * (codes[sample] == c) + smoothing * prior
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.booleans(), min_size=1, max_size=4),
    st.floats(0.01, 1),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=8),
)
def test_targets_mix_the_label_with_rows_of_priors(seed, shared, smoothing, samples):
    rng = np.random.default_rng(seed)
    codes, terms = rng.integers(0, C, N), random_terms(rng, len(shared), shared)
    targets = LabelTargets(codes, terms, smoothing, **CPU64)
    taken = targets.take(torch.tensor(samples))
    assert_allclose(
        taken, naive_targets(codes, terms, smoothing, samples), rtol=1e-6, atol=1e-7
    )
    assert_allclose(taken.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("with_terms", [False, True])
def test_targets_without_smoothing_are_codes(with_terms):
    codes = np.array([3, 0, 4, 1])
    terms = [(np.eye(C), codes, 1.0)] if with_terms else []
    targets = LabelTargets(codes, terms, 0.0, **CPU32)
    taken = targets.take(torch.tensor([2, 0]))
    assert taken.dtype == torch.int64
    assert taken.tolist() == [4, 3]


def test_smoothing_without_a_prior_changes_nothing():
    targets = LabelTargets(np.array([1, 0]), [], 0.3, **CPU32)
    assert targets.take(torch.tensor([1, 0])).tolist() == [0, 1]


def test_uniform_prior_is_label_smoothing_by_hand():
    matrix = np.full((2, 2), 0.5)
    targets = LabelTargets([0, 1], [(matrix, np.array([0, 1]), 1.0)], 0.2, **CPU64)
    assert_allclose(targets.take(torch.tensor([0, 1])), [[0.9, 0.1], [0.1, 0.9]])


def test_matrices_that_are_read_at_the_same_rows_become_one():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, C, N)
    together = LabelTargets(codes, random_terms(rng, 3, [1, 1, 1]), 0.5, **CPU64)
    apart = LabelTargets(codes, random_terms(rng, 3, [0, 1, 0]), 0.5, **CPU64)
    assert len(together.terms) == 1
    assert len(apart.terms) == 3


@pytest.mark.parametrize("zero", [(0.0, 1.0), (1.0, 0.0)])
def test_prior_of_weight_zero_says_nothing(zero):
    rows = np.array([0, 1])
    matrices = np.array([[[1.0, 0], [0, 1]], [[0.25, 0.75], [0.5, 0.5]]])
    terms = [(m, rows, w) for m, w in zip(matrices, zero, strict=True)]
    taken = LabelTargets([0, 1], terms, 1.0, **CPU64).take(torch.tensor([0, 1]))
    assert_allclose(taken, matrices[int(np.argmax(zero))])


def test_matrices_and_codes_of_the_caller_stay_as_they_were():
    codes, matrix, rows = np.array([0, 1]), np.full((2, 2), 0.5), np.array([0, 1])
    targets = LabelTargets(codes, [(matrix, rows, 0.5)] * 2, 0.2, **CPU64)
    targets.take(torch.tensor([0, 1]))
    targets.take(torch.tensor([0, 1]))
    assert (matrix == 0.5).all()
    assert_allclose(targets.take(torch.tensor([0])), [[0.9, 0.1]])


def test_a_prior_is_shared_and_a_mixture_is_one_matrix_more():
    matrix = np.full((1000, 1000), 1e-3, dtype=np.float32)
    rows = np.arange(1000)
    tracemalloc.start()
    alone = LabelTargets(rows, [(matrix, rows, 1.0)], 0.5, **CPU32)
    _, peak = tracemalloc.get_traced_memory()
    mixture = LabelTargets(rows, [(matrix, rows, 1 / 3)] * 3, 0.5, **CPU32)
    _, peak_of_mixture = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.shares_memory(alone.terms[0][0].numpy(), matrix)
    assert not np.shares_memory(mixture.terms[0][0].numpy(), matrix)
    assert peak < 0.1 * matrix.nbytes
    assert peak_of_mixture < 1.1 * matrix.nbytes


@pytest.mark.parametrize("n_parts", [1, 2])
def test_matrices_that_cannot_be_written_are_read(n_parts):
    matrix = np.broadcast_to(np.array([0.25, 0.75]), (2, 2))
    rows = np.array([0, 1])
    targets = LabelTargets(
        [0, 1], [(matrix, rows, 1 / n_parts)] * n_parts, 1.0, **CPU64
    )
    assert_allclose(targets.take(torch.tensor([0, 1])), matrix)


def test_memory_grows_with_the_classes_and_not_with_samples_times_classes():
    n, n_classes, batch = 50_000, 400, 32  # (n, C) in float32 would be 76 MiB
    rows = np.zeros(n, dtype=np.intp)
    matrix = np.full((n_classes, n_classes), 1 / n_classes, dtype=np.float32)
    terms = [(matrix, rows, 0.5), (matrix, rows + 1, 0.5)]
    tracemalloc.start()
    targets = LabelTargets(rows, terms, 0.5, **CPU32)
    taken = targets.take(torch.arange(batch))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20
    tensors = [targets.codes, taken]
    tensors += [t for matrix, rows, _ in targets.terms for t in (matrix, rows)]
    assert max(t.numel() for t in tensors) == n_classes**2


@pytest.mark.parametrize("smoothing", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_objective_gives_the_weighted_sum_and_the_weights(smoothing, weighted):
    rng = np.random.default_rng(1)
    codes, terms = rng.integers(0, C, N), random_terms(rng, 2, [0, 0])
    weights = rng.uniform(0.1, 2, N) if weighted else None
    targets = LabelTargets(codes, terms, smoothing, **CPU64)
    objective = LabelObjective(targets, weights, **CPU64)
    samples = torch.tensor([3, 3, 11, 0])
    logits = torch.from_numpy(rng.normal(size=(4, 2, C)))
    terms_of_batch = objective(Output(logits), Batch(samples, None))
    total, weight = terms_of_batch["base"]
    mixed = naive_targets(codes, terms, smoothing, samples.tolist())
    log_proba = logits.log_softmax(-1).numpy()
    losses = [-(mixed[b] * log_proba[b]).sum(1).mean() for b in range(4)]
    chosen = np.ones(4) if weights is None else weights[samples]
    assert list(terms_of_batch) == ["base"]
    assert_allclose(total, chosen @ losses, rtol=1e-6)
    assert_allclose(float(weight), chosen.sum())


def test_stages_share_the_targets_of_their_row():
    targets = LabelTargets([1, 0], [], 0.0, **CPU64)
    logits = torch.randn(2, 3, 2, dtype=torch.float64)
    total, _ = LabelObjective(targets, None, **CPU64)(
        Output(logits), Batch(torch.tensor([0, 1]), None)
    )["base"]
    each = [
        soft_cross_entropy(logits[:, s], torch.tensor([1, 0]), reduction="none").sum()
        for s in range(3)
    ]
    assert_allclose(total, sum(each) / 3)
