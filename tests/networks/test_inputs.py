import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skanticipate import LSTM, MLP, RowView

T, D, C = 6, 4, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(spec, shape=(T, D), n_classes=C, seed=0):
    return spec.build(shape, n_classes, generator=generator(seed)).double().eval()


CODE_SPECS = [MLP(8, embedding=3), LSTM(8, embedding=3)]
CODES = RowView(np.array([[[-1, -1], [1, 5]], [[2, 0], [3, 4]]]))
both_cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


def test_table_sizes_follow_from_the_codes():
    assert LSTM(embedding=3).input_shape_of(CODES) == (2, (4, 6))
    floats = np.asarray(CODES).astype(float)
    floats[0, 0] = np.nan
    assert MLP(embedding=3).input_shape_of(RowView(floats)) == (2, (4, 6))


def test_input_without_embedding_is_the_shape_of_a_clip():
    assert LSTM().input_shape_of(RowView(np.ones((9, T, D)))) == (T, D)


def embedded(codes, n_codes=(4, 6), width=3):
    network = built(LSTM(8, embedding=width), (2, n_codes))
    steps, real = network.input(torch.as_tensor(codes, dtype=torch.float64))
    return network.input.tables, steps, real


def test_codes_of_a_step_lie_side_by_side():
    tables, steps, real = embedded([[[3, 5], [1, 2]]])
    assert torch.equal(
        steps[0, 0], torch.cat([tables[0].weight[3], tables[1].weight[5]])
    )
    assert torch.equal(
        steps[0, 1], torch.cat([tables[0].weight[1], tables[1].weight[2]])
    )
    assert real.all()


def test_unknown_codes_start_as_zeros():
    tables, steps, real = embedded([[[0, 5], [99, 0]]])
    assert torch.equal(steps[0, 0], torch.cat([torch.zeros(3), tables[1].weight[5]]))
    assert (steps[0, 1] == 0).all()
    assert real.all()


@pytest.mark.parametrize("padding", [-1.0, float("nan")])
def test_padding_codes_are_no_steps(padding):
    network = built(LSTM(8, embedding=3), (2, (4, 6)))
    with torch.no_grad():
        network.input.tables[0].weight[0] = 7  # as training may leave the unknown
    codes = torch.tensor([[[padding, padding], [1, 2]]])
    steps, real = network.input(codes)
    assert real.tolist() == [[False, True]]
    assert (steps[0, 0] == 0).all()


@both_cells
def test_padding_codes_leave_the_state_as_it_was(cell):
    network = built(LSTM(8, embedding=3, cell=cell), (3, (4, 6)))
    codes = torch.tensor([[[3.0, 5], [1, 2], [2, 4]]])
    padded = torch.tensor([[[-1.0, -1], [3, 5], [-1, -1], [1, 2], [2, 4]]])
    assert_allclose(
        network(padded).logits.detach(), network(codes).logits.detach(), atol=1e-12
    )


def test_vectors_of_padding_learn_nothing():
    network = built(LSTM(8, embedding=3), (2, (4, 6))).train()
    network(torch.tensor([[[-1.0, -1], [1, 2]]])).logits.sum().backward()
    for table, used in zip(network.input.tables, (1, 2), strict=True):
        moved = table.weight.grad.abs().sum(1) > 0
        assert moved.nonzero().flatten().tolist() == [used]


# ------------------------------------------------------------------------ errors


@pytest.mark.parametrize("spec", CODE_SPECS, ids=repr)
def test_codes_must_be_whole_numbers(spec):
    codes = np.ones((3, 2, 2))
    codes[2, 1, 0] = 0.5
    with pytest.raises(ValueError, match=r"whole numbers as codes, got 0\.5: leave"):
        spec.input_shape_of(RowView(codes))


@pytest.mark.parametrize("spec", CODE_SPECS, ids=repr)
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 2, 2)])
def test_codes_must_have_three_axes(spec, shape):
    with pytest.raises(ValueError, match=r"expects codes of shape \(n, T, k\)"):
        spec.input_shape_of(RowView(np.ones(shape)))


def test_codes_that_their_type_has_changed_are_refused():
    """float16 reads 2049 as 2048: two labels would be one."""
    codes = np.array([[[3], [2048]], [[2049], [7]]])
    spec = LSTM(8, embedding=3)
    assert spec.input_shape_of(RowView(codes.astype("f4"))) == (2, (2050,))
    with pytest.raises(ValueError, match=r"got the code 2050 as float16, .* 2,048"):
        spec.input_shape_of(RowView((codes + 1).astype("f2")))
    assert spec.input_shape_of(RowView((codes - 9).astype("f2"))) == (2, (2041,))
