import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from skanticipate import LSTM, MLP, NetworkSpec, RowView
from skanticipate.networks.bare import skip_init
from skanticipate.networks.base import Dropout, initialize, lend_generator

T, D, C = 6, 4, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_clips(n=5, steps=T, width=D, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, steps, width)))


SPECS = [
    MLP(8),
    MLP((8, 5), dropout=0.2, input_dropout=0.2),
    LSTM(8),
    LSTM(8, cell="gru", n_layers=2, anticipation_steps=3),
]
CODE_SPECS = [MLP(8, embedding=3), LSTM(8, embedding=3)]
CODES = RowView(np.array([[[-1, -1], [1, 5]], [[2, 0], [3, 4]]]))


# -------------------------------------------------------------------------------- crops


def test_clips_are_not_cut_unless_a_network_says_so():
    past, future = random_clips(), random_clips(seed=1)
    drawn = generator()
    before = drawn.get_state()
    spec = NetworkSpec()
    assert not spec.crops_at_random
    kept = spec.crop(past, future, drawn)
    assert kept[0] is past and kept[1] is future
    assert spec.crop(past, None, drawn) == (past, None)
    assert torch.equal(drawn.get_state(), before)


# --------------------------------------------------------------- initial weights


@pytest.mark.parametrize("seed", [0, 7])
def test_perceptron_starts_with_the_weights_of_plain_torch(seed):
    ours = MLP((8, 5)).build((T, D), C, generator=generator(seed))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        plain = [nn.Linear(T * D, 8), nn.Linear(8, 5), nn.Linear(5, C)]
    expected = [p for layer in plain for p in layer.parameters()]
    for a, b in zip(ours.parameters(), expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_recurrent_network_starts_with_the_weights_of_plain_torch(cell, kind):
    spec = LSTM(8, cell=cell, n_layers=2)
    ours = spec.build((T, D), C, generator=generator(3))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = [kind(D, 8, 2), nn.Linear(8, C)]
    expected = [p for layer in plain for p in layer.parameters()]
    for a, b in zip(ours.parameters(), expected, strict=True):
        assert torch.equal(a, b)


def test_embeddings_start_with_a_tenth_of_the_weights_of_plain_torch():
    network = LSTM(8, embedding=3).build((2, (9,)), C, generator=generator(3))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = nn.Embedding(9, 3)
    weight = network.input.tables[0].weight
    assert_allclose(weight[1:].detach(), 0.1 * plain.weight[1:].detach(), rtol=1e-6)
    assert (weight[0] == 0).all()


@pytest.mark.parametrize("spec", [*SPECS, *CODE_SPECS], ids=repr)
def test_no_number_is_drawn_from_a_global_stream(spec):
    shape = (T, D) if spec.embedding is None else spec.input_shape_of(CODES)
    clips = random_clips() if spec.embedding is None else torch.ones(3, 2, 2)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    network = spec.build(shape, C, generator=generator()).double().train()
    with lend_generator(network, generator(1)):
        network(clips)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_module_without_known_initial_weights_is_refused():
    module = nn.Sequential(skip_init(nn.Linear, 2, 2), nn.PReLU())
    with pytest.raises(TypeError, match="No initial weights .*PReLU"):
        initialize(module, generator())


def test_layer_without_bias_and_layer_norm_are_known():
    linear, norm = skip_init(nn.Linear, 2, 3, bias=False), skip_init(nn.LayerNorm, 3)
    nn.init.constant_(norm.weight, 7)
    initialize(nn.Sequential(linear, norm), generator())
    assert (norm.weight == 1).all() and (norm.bias == 0).all()
    assert linear.weight.abs().max() <= 1 / np.sqrt(2)


def test_convolution_starts_with_the_weights_of_plain_torch():
    ours = initialize(skip_init(nn.Conv3d, 3, 4, (1, 2, 3)), generator(5))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        plain = nn.Conv3d(3, 4, (1, 2, 3))
    assert torch.equal(ours.weight, plain.weight)
    assert torch.equal(ours.bias, plain.bias)
    bare = initialize(skip_init(nn.Conv3d, 3, 4, 1, bias=False), generator(5))
    assert bare.weight.abs().max() <= 1 / np.sqrt(3)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d(3), nn.BatchNorm3d(3), nn.GroupNorm(1, 3)], ids=repr
)
def test_norms_start_as_ones_and_zeros(norm):
    for w in [*norm.parameters(), *norm.buffers()]:
        nn.init.constant_(w, 7)
    initialize(norm, generator())
    assert (norm.weight == 1).all() and (norm.bias == 0).all()
    if not isinstance(norm, nn.GroupNorm):
        assert (norm.running_mean == 0).all() and (norm.running_var == 1).all()
        assert norm.num_batches_tracked == 0


# ----------------------------------------------------------------------- dropout


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    dropout = Dropout(0.3).train()
    dropout.generator = generator()
    out = dropout(torch.ones(100_000))
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((out == 0).double().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(out.double().mean()) == pytest.approx(1, abs=0.01)


def test_generator_decides_what_is_dropped():
    dropout, x = Dropout(0.5).train(), torch.ones(50)
    draws = []
    for seed in (1, 1, 2):
        with lend_generator(dropout, generator(seed)):
            draws.append(dropout(x))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_generator_is_taken_back_even_after_an_error():
    network = MLP(8, dropout=0.5).build((D,), C, generator=generator())
    with pytest.raises(ZeroDivisionError), lend_generator(network, generator()):
        assert network.dropout.generator is not None
        raise ZeroDivisionError
    assert network.dropout.generator is None


def test_dropout_is_off_in_evaluation_and_for_zero():
    x = torch.ones(50)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


def test_gradient_passes_what_was_kept_only():
    dropout, x = Dropout(0.5).train(), torch.ones(50, requires_grad=True)
    dropout.generator = generator()
    out = dropout(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


# ------------------------------------------------------------------------ errors


def build(spec, shape=(T, D)):
    return spec.build(shape, C, generator=generator())


def test_spec_without_build_says_so():
    class Empty(NetworkSpec):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty does not write build\(\)"):
        build(Empty())
