from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from skanticipate.networks.recurrence import consecutive, project, run_lstm

T, D, H = 7, 3, 5


def random_clips(n=3, steps=T, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, steps, D)))


def test_run_is_that_of_torch_over_a_packed_sequence():
    torch_lstm = nn.LSTM(D, H).double()
    inputs, sizes = random_clips(1, 12)[0], [4, 4, 3, 1]
    packed = PackedSequence(inputs, torch.tensor(sizes))
    state = torch.linspace(-1, 1, 2 * 4 * H, dtype=torch.float64).view(2, 4, H)
    out, (hidden, cell) = torch_lstm(packed, (state[:1], state[1:]))
    projected = project(torch_lstm, inputs)
    hiddens, cells = run_lstm(torch_lstm, projected, *state, consecutive(sizes))
    assert_allclose(hiddens.detach(), out.data.detach(), atol=1e-12)
    last = [11, 9, 10, 7]  # where each of the four rows ends
    assert_allclose(cells[last].detach(), cell[0].detach(), atol=1e-12)
    with torch.no_grad():
        unkept = run_lstm(torch_lstm, projected, *state, consecutive(sizes))
    assert torch.equal(unkept[0], hiddens) and torch.equal(unkept[1], cells)


@pytest.mark.parametrize(
    "reads", [consecutive([3, 2, 2]), [slice(3), slice(1, 3), slice(1)]], ids=str
)
def test_gradient_of_a_run_is_that_of_small_differences(reads):
    draws = np.random.default_rng(0)
    n_rows = max(rows.stop for rows in reads)
    shapes = [(n_rows, 8), (3, 2), (3, 2), (8, 2)]
    values = [
        torch.from_numpy(draws.normal(size=shape)).requires_grad_() for shape in shapes
    ]

    def run(projected, hidden, cell, weight):
        layer = SimpleNamespace(weight_hh_l0=weight)
        return run_lstm(layer, projected, hidden, cell, reads)

    assert torch.autograd.gradcheck(run, values)
