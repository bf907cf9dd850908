import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional
from toy_training import CPU, C, N, data, new_training, validation

from skanticipate import RowView
from skanticipate.networks import Output
from skanticipate.training import scoring
from skanticipate.training.batches import ClipReader
from skanticipate.training.runtime import Compute
from skanticipate.training.scoring import ValidationScore, predict_batches


def reader_of(scores):
    """Reader of clips that hold scores (n, S, C)."""
    compute = Compute(torch.device("cpu"), scores.dtype)
    return ClipReader(RowView(scores.numpy()), compute)


class Fixed(nn.Module):
    """Gives the scores that stand in the clips: (B, S, C)."""

    def forward(self, clips):
        return Output(clips)


def test_figures_are_those_of_one_stage_by_hand():
    scores = np.zeros((4, 2, 7))
    scores[:, 0] = 99  # another stage
    scores[0, 1] = [2, 1, 0, 0, 0, 0, 0]
    scores[1, 1] = [5, 4, 3, 2, 1, 0, -1]
    scores[2, 1] = [0, 0, 0, 0, 0, 0, 3]
    scores[3, 1] = [1, 0, 0, 0, 0, 0, 0]
    codes = np.array([0, 4, 2, -1])  # hit, hit among five, missed, no class
    scores[2, 1, :6] = [-1, -2, -9, -1, -1, -1]
    figures = ValidationScore(
        reader_of(torch.from_numpy(scores)),
        codes,
        stage=1,
        watched="top_5_accuracy",
    )(Fixed())
    losses = []
    for row, code in zip(scores[:3, 1], codes[:3], strict=True):
        losses.append(np.log(np.exp(row).sum()) - row[code])
    assert figures["val_loss"] == pytest.approx(np.mean(losses))
    assert figures["val_accuracy"] == pytest.approx(1 / 4)
    assert figures["val_top_5_accuracy"] == pytest.approx(2 / 4)
    assert figures["score"] == figures["val_top_5_accuracy"]


@pytest.mark.parametrize("batch_size", [1, 7, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_classes", [3, 9])
def test_figures_do_not_depend_on_the_batches(
    batch_size, dtype, n_classes, monkeypatch
):
    monkeypatch.setattr(scoring, "prediction_batch", lambda rows: batch_size)
    n = 61
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(n, 1, n_classes)).round(1)).to(dtype)
    codes = rng.integers(-1, n_classes, n)
    figures = ValidationScore(reader_of(scores), codes, stage=0, watched="loss")(
        Fixed()
    )
    logits, known = scores[:, 0], codes >= 0
    loss = functional.cross_entropy(logits[known], torch.from_numpy(codes[known]))
    assert figures["val_loss"] == float(loss)
    order = np.argsort(-logits.numpy(), axis=1, kind="stable")
    for name, k in (("val_accuracy", 1), ("val_top_5_accuracy", 5)):
        assert figures[name] == (order[:, :k] == codes[:, None]).any(1).mean()


def test_a_clip_of_weight_k_counts_as_k_clips():
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(40, 1, 9)))
    codes, times = rng.integers(-1, 9, 40), rng.integers(4, size=40)

    def figures(rows, weights=None):
        return ValidationScore(
            reader_of(scores[rows]),
            codes[rows],
            stage=0,
            watched="loss",
            weights=weights,
        )(Fixed())

    weighed = figures(np.arange(40), times)
    assert weighed == pytest.approx(figures(np.repeat(np.arange(40), times)))
    assert weighed != pytest.approx(figures(np.arange(40)))


def test_scores_that_are_no_numbers_cannot_be_ranked():
    scores = torch.full((4, 1, 3), torch.nan)
    score = ValidationScore(
        reader_of(scores), np.zeros(4, int), stage=0, watched="loss"
    )
    with pytest.raises(ValueError, match="validation rows are NaN. Usual causes"):
        score(Fixed())


def test_lower_loss_is_a_higher_score():
    state, _ = new_training()
    state.network.eval()
    figures = validation("loss")(state.network)
    assert figures["score"] == -figures["val_loss"]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_logits_do_not_depend_on_the_batches(batch_size, monkeypatch):
    monkeypatch.setattr(scoring, "prediction_batch", lambda rows: batch_size)
    state, _ = new_training()
    network, take = state.network.eval(), ClipReader(RowView(data()[0]), CPU)
    whole = network(take(torch.arange(N))).logits
    parts = predict_batches(network, take, lambda output, _: output.logits)
    assert parts.shape == (N, 2, C)
    assert_allclose(parts, whole.detach(), rtol=1e-4, atol=1e-6)
    assert not parts.requires_grad
