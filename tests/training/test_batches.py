import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from toy_training import CPU

from skanticipate import NetworkSpec, RowView
from skanticipate.training.batches import BatchReader, ClipReader, mixed, shuffled
from skanticipate.training.runtime import Compute


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def counts(batches, n):
    return torch.bincount(torch.cat(list(batches)), minlength=n)


def test_shuffled_batches_hold_every_sample_once():
    batches = shuffled(10, 4)(generator())
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert counts(batches, 10).tolist() == [1] * 10


def test_every_epoch_is_another_order():
    for draw in (
        shuffled(50, 8),
        mixed(torch.arange(20), torch.arange(20, 50), 8, 0.5),
    ):
        stream = generator()
        first, second = (torch.cat(list(draw(stream))) for _ in range(2))
        assert not torch.equal(first, second)
        assert torch.equal(torch.cat(list(draw(generator()))), first)


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.5, 4), (0.25, 2), (0.01, 1), (0.99, 7), (0.0, 0)]
)
def test_the_share_of_unlabelled_samples_is_that_of_every_batch(fraction, expected):
    labelled, unlabelled = torch.arange(13), torch.arange(13, 50)
    batches = mixed(labelled, unlabelled, 8, fraction)(generator())
    assert len(batches) == 7  # ceil(50 / 8)
    for batch in batches:
        assert len(batch) == 8
        assert int((batch >= 13).sum()) == expected


@settings(max_examples=60, deadline=None)
@given(
    n_labelled=st.integers(1, 30),
    n_unlabelled=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    fraction=st.floats(0, 0.99),
    seed=st.integers(0, 99),
)
def test_samples_of_a_kind_are_drawn_equally_often(
    n_labelled, n_unlabelled, batch_size, fraction, seed
):
    order = torch.randperm(n_labelled + n_unlabelled, generator=generator(seed))
    kinds = order[:n_labelled], order[n_labelled:]
    batches = mixed(*kinds, batch_size, fraction)(generator(seed))
    n_steps = int(np.ceil(len(order) / max(2, batch_size)))
    assert len(batches) == n_steps
    found = counts(batches, len(order))
    assert found.sum() == n_steps * max(2, batch_size)
    for kind in kinds:
        assert found[kind].max() - found[kind].min() <= 1
    assert (found[kinds[1]].sum() > 0) == (fraction > 0)
    assert found[kinds[0]].sum() > 0


class Cropping(NetworkSpec):
    """Adds a random number to both clips of a batch."""

    def crop(self, past, future, generator):
        shift = torch.rand((), generator=generator)
        return past + shift, None if future is None else future + shift


def test_a_batch_brings_the_clips_of_its_samples():
    past, future = torch.randn(6, 3), torch.randn(6, 2)
    samples, rows = torch.tensor([4, 0]), RowView(past.numpy())
    batch = BatchReader(NetworkSpec(), rows, CPU, generator=None)(samples)
    assert torch.equal(batch.samples, samples)
    assert torch.equal(batch.clips, past[[4, 0]])
    assert batch.futures is None
    futures = ClipReader(RowView(future.numpy()), CPU)
    read = BatchReader(NetworkSpec(), rows, CPU, futures, generator=None)
    assert torch.equal(read(samples).futures, future[[4, 0]])


def test_past_and_future_are_cropped_alike():
    rows = RowView(np.zeros((4, 1), np.float32))
    take = ClipReader(rows, CPU)
    read = BatchReader(Cropping(), rows, CPU, take, generator=generator())
    one, other = read(torch.arange(4)), read(torch.arange(4))
    assert torch.equal(one.clips, one.futures)
    assert not torch.equal(one.clips, other.clips)


@pytest.mark.parametrize(
    "stored", ["float16", "float32", "float64", ">f4", "int64", "?"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reader_gives_clips_in_the_precision_of_the_network(stored, dtype):
    X = np.arange(12).reshape(4, 3).astype(stored)
    take = ClipReader(RowView(X), Compute(CPU.device, dtype))
    clips = take(torch.tensor([3, 0]))
    assert clips.dtype == dtype
    assert_array_equal(clips.numpy(), X[[3, 0]].astype(float))


def test_clips_share_no_memory_with_the_array():
    X = np.ones((4, 3), dtype=np.float32)
    clips = ClipReader(RowView(X), Compute(CPU.device, torch.float32))(torch.arange(4))
    clips += 1
    assert (X == 1).all()


def test_clips_lie_in_the_order_of_their_axes_without_another_copy(monkeypatch):
    X = np.arange(24.0).reshape(4, 3, 2)
    for stored in (X, np.asfortranarray(X), X[:, ::-1], X.astype(np.float16)):
        clips = ClipReader(RowView(stored), Compute(CPU.device, torch.float64))(
            torch.tensor([3, 0])
        )
        assert clips.is_contiguous()
        assert_array_equal(clips, stored[[3, 0]])
    rows = RowView(X)
    taken = rows.take(np.array([1]))
    monkeypatch.setattr(rows, "take", lambda _: taken)
    clips = ClipReader(rows, Compute(CPU.device, torch.float64))(torch.tensor([1]))
    assert np.shares_memory(clips.numpy(), taken)
