import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skanticipate.losses import soft_cross_entropy
from skanticipate.networks import Output
from skanticipate.terms.labels import LabelTerm, Part, Targets, label_parts
from skanticipate.training.batches import Batch
from skanticipate.training.runtime import Compute

N, C = 12, 5
CPU32 = Compute(torch.device("cpu"), torch.float32)
CPU64 = Compute(torch.device("cpu"), torch.float64)


def label_targets(codes, terms, smoothing, compute):
    return Targets(label_parts(np.asarray(codes), terms, smoothing), compute)


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
    targets = label_targets(codes, terms, smoothing, CPU64)
    taken = targets.take(torch.tensor(samples))
    assert_allclose(
        taken, naive_targets(codes, terms, smoothing, samples), rtol=1e-6, atol=1e-7
    )
    assert_allclose(taken.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("with_terms", [False, True])
def test_targets_without_smoothing_are_codes(with_terms):
    codes = np.array([3, 0, 4, 1])
    terms = [(np.eye(C), codes, 1.0)] if with_terms else []
    targets = label_targets(codes, terms, 0.0, CPU32)
    taken = targets.take(torch.tensor([2, 0]))
    assert taken.dtype == torch.int64
    assert taken.tolist() == [4, 3]


def test_smoothing_without_a_prior_changes_nothing():
    targets = label_targets(np.array([1, 0]), [], 0.3, CPU32)
    assert targets.take(torch.tensor([1, 0])).tolist() == [0, 1]


def test_uniform_prior_is_label_smoothing_by_hand():
    matrix = np.full((2, 2), 0.5)
    targets = label_targets([0, 1], [(matrix, np.array([0, 1]), 1.0)], 0.2, CPU64)
    assert_allclose(targets.take(torch.tensor([0, 1])), [[0.9, 0.1], [0.1, 0.9]])


def test_matrices_that_are_read_at_the_same_rows_become_one():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, C, N)
    together = label_targets(codes, random_terms(rng, 3, [1, 1, 1]), 0.5, CPU64)
    apart = label_targets(codes, random_terms(rng, 3, [0, 1, 0]), 0.5, CPU64)
    assert len(together.tables) == 1
    assert len(apart.tables) == 3


@pytest.mark.parametrize("zero", [(0.0, 1.0), (1.0, 0.0)])
def test_prior_of_weight_zero_says_nothing(zero):
    rows = np.array([0, 1])
    matrices = np.array([[[1.0, 0], [0, 1]], [[0.25, 0.75], [0.5, 0.5]]])
    terms = [(m, rows, w) for m, w in zip(matrices, zero, strict=True)]
    taken = label_targets([0, 1], terms, 1.0, CPU64).take(torch.tensor([0, 1]))
    assert_allclose(taken, matrices[int(np.argmax(zero))])


def test_matrices_and_codes_of_the_caller_stay_as_they_were():
    codes, matrix, rows = np.array([0, 1]), np.full((2, 2), 0.5), np.array([0, 1])
    targets = label_targets(codes, [(matrix, rows, 0.5)] * 2, 0.2, CPU64)
    targets.take(torch.tensor([0, 1]))
    targets.take(torch.tensor([0, 1]))
    assert (matrix == 0.5).all()
    assert_allclose(targets.take(torch.tensor([0])), [[0.9, 0.1]])


def test_a_prior_is_shared_and_a_mixture_is_one_matrix_more():
    matrix = np.full((1000, 1000), 1e-3, dtype=np.float32)
    rows = np.arange(1000)
    tracemalloc.start()
    alone = label_targets(rows, [(matrix, rows, 1.0)], 0.5, CPU32)
    _, peak = tracemalloc.get_traced_memory()
    mixture = label_targets(rows, [(matrix, rows, 1 / 3)] * 3, 0.5, CPU32)
    _, peak_of_mixture = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.shares_memory(alone.tables[0][0].numpy(), matrix)
    assert not np.shares_memory(mixture.tables[0][0].numpy(), matrix)
    assert peak < 0.1 * matrix.nbytes
    assert peak_of_mixture < 1.1 * matrix.nbytes


@pytest.mark.parametrize("n_parts", [1, 2])
def test_matrices_that_cannot_be_written_are_read(n_parts):
    matrix = np.broadcast_to(np.array([0.25, 0.75]), (2, 2))
    rows = np.array([0, 1])
    targets = label_targets([0, 1], [(matrix, rows, 1 / n_parts)] * n_parts, 1.0, CPU64)
    assert_allclose(targets.take(torch.tensor([0, 1])), matrix)


def test_memory_grows_with_the_classes_and_not_with_samples_times_classes():
    n, n_classes, batch = 50_000, 400, 32  # (n, C) in float32 would be 76 MiB
    rows = np.zeros(n, dtype=np.intp)
    matrix = np.full((n_classes, n_classes), 1 / n_classes, dtype=np.float32)
    terms = [(matrix, rows, 0.5), (matrix, rows + 1, 0.5)]
    tracemalloc.start()
    targets = label_targets(rows, terms, 0.5, CPU32)
    taken = targets.take(torch.arange(batch))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20
    tensors = [targets.codes, taken]
    tensors += [t for matrix, rows, _ in targets.tables for t in (matrix, rows)]
    assert max(t.numel() for t in tensors) == n_classes**2


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.booleans(), max_size=4),
    st.booleans(),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=8),
)
def test_targets_are_sums_of_tables_with_shares_of_each_sample(
    seed, of_each, labels_of_each, samples
):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, C, N)

    def share(of_each_sample):
        shares = rng.uniform(0, 1, N) * (rng.random(N) < 0.7)
        return shares if of_each_sample else float(shares[0])

    tables = [rng.dirichlet(np.ones(C), size=3) for _ in of_each]
    parts = [Part(None, codes, share(labels_of_each))]
    parts += [
        Part(table, rng.integers(0, 3, N), share(of_each_sample))
        for table, of_each_sample in zip(tables, of_each, strict=True)
    ]
    expected = np.zeros((len(samples), C))
    for b, sample in enumerate(samples):
        for k, part in enumerate(parts):
            row = np.eye(C)[codes[sample]] if k == 0 else part.table[part.index[sample]]
            expected[b] += np.broadcast_to(part.share, N)[sample] * row
    taken = Targets(parts, CPU64).take(torch.tensor(samples))
    if any(np.any(part.share) for part in parts[1:]):
        assert_allclose(taken, expected, rtol=1e-12, atol=1e-15)
    else:
        assert taken.tolist() == codes[samples].tolist()


def test_a_part_of_some_samples_says_nothing_of_others():
    table, codes = np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1, 1])
    of_labels = Part(None, codes, 1.0).of(np.array([True, True, False]))
    of_table = Part(table, codes, 1.0).of(np.array([False, True, True]))
    taken = Targets([of_labels, of_table], CPU64).take(torch.arange(3))
    assert_allclose(taken, [[1, 0], [0.25, 1.75], [0.25, 0.75]])


@pytest.mark.parametrize("smoothing", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_term_gives_the_weighted_sum_and_the_weights(smoothing, weighted):
    rng = np.random.default_rng(1)
    codes, terms = rng.integers(0, C, N), random_terms(rng, 2, [0, 0])
    weights = rng.uniform(0.1, 2, N) if weighted else None
    parts = label_parts(codes, terms, smoothing)
    term = LabelTerm(parts, codes >= 0, weights, CPU64)
    samples = torch.tensor([3, 3, 11, 0])
    logits = torch.from_numpy(rng.normal(size=(4, 2, C)))
    total, weight = term(Output(logits), Batch(samples, None))
    mixed = naive_targets(codes, terms, smoothing, samples.tolist())
    log_proba = logits.log_softmax(-1).numpy()
    losses = [-(mixed[b] * log_proba[b]).sum(1).mean() for b in range(4)]
    chosen = np.ones(4) if weights is None else weights[samples]
    assert (term.name, term.weight) == ("base", 1.0)
    assert_allclose(total, chosen @ losses, rtol=1e-6)
    assert_allclose(float(weight), chosen.sum())


def test_stages_share_the_targets_of_their_row():
    parts = label_parts(np.array([1, 0]), [], 0.0)
    term = LabelTerm(parts, np.ones(2, dtype=bool), None, CPU64)
    logits = torch.randn(2, 3, 2, dtype=torch.float64)
    total, _ = term(Output(logits), Batch(torch.tensor([0, 1]), None))
    each = [
        soft_cross_entropy(logits[:, s], torch.tensor([1, 0]), reduction="none").sum()
        for s in range(3)
    ]
    assert_allclose(total, sum(each) / 3)


@pytest.mark.parametrize("n_rows", [[], [1], [4], [1, 4]])
@pytest.mark.parametrize("by_sample", [False, True])
def test_slopes_are_the_gradient_of_the_cross_entropy(n_rows, by_sample):
    rng = np.random.default_rng(2)
    n, n_classes = 7, 5
    codes, samples = rng.integers(0, n_classes, n), [6, 0, 0, 3]
    share = rng.random(n) if by_sample else 0.7
    parts = [Part(None, codes, share if n_rows else 1.0)]
    tables = [0.9 * rng.dirichlet(np.ones(n_classes), size=size) for size in n_rows]
    parts += [Part(t, rng.integers(0, len(t), n), share) for t in tables]
    expected = np.zeros((len(samples), n_classes))
    for b, sample in enumerate(samples):
        for part in parts:
            rows = np.eye(n_classes)[codes] if part.table is None else part.table
            place = sample if part.table is None else part.index[sample]
            expected[b] += np.broadcast_to(part.share, n)[sample] * rows[place]
    logits = torch.tensor(rng.normal(size=expected.shape), requires_grad=True)
    losses = -(torch.tensor(expected) * logits.log_softmax(1)).sum(1)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    targets = Targets(parts, CPU64)
    found, slopes = targets.slopes(logits.detach(), torch.tensor(samples))
    assert_allclose(found, losses.detach(), rtol=1e-12)
    assert_allclose(slopes, gradient, rtol=1e-12, atol=1e-15)
