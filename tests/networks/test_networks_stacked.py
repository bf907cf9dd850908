"""Leaves and networks of a stack against K single modules."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import nn

from skanticipate import LSTM, MLP, VerbNounHead
from skanticipate.networks.affine import affine
from skanticipate.networks.attentive import Vectors
from skanticipate.networks.base import Dropout, lend_generator
from skanticipate.networks.heads import VerbNounClassifier
from skanticipate.networks.stacked import STACKED, StackedDropout, stacked

B, E, H = 4, 3, 5
HEAD = VerbNounHead({0: ("cut", "leek"), 1: ("cut", "cup"), 2: ("wash", "cup")})
HEAD.fit([0, 1, 2])


def drawn(module, seed):
    """The module, with weights of its own in float64."""
    module = copy.deepcopy(module).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(generator=generator)
    return module


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def together(modules):
    """Stack of modules, whose weights are those of all."""
    stack = stacked(modules[0])
    pairs = zip(
        stack.named_parameters(),
        zip(*(m.parameters() for m in modules), strict=True),
        strict=True,
    )
    owners = dict(stack.named_modules())
    for (name, own), weights in list(pairs):
        assert own.shape == (1, *weights[0].shape)
        owner, _, last = name.rpartition(".")
        weights = nn.Parameter(torch.stack(weights).detach())
        owners[owner]._parameters[last] = weights
    return stack


def check(modules, values, first=lambda out: out):
    """Values and gradients of a stack are those of the modules one by one.

    values (K, B, ...)
    """
    stack, inputs = together(modules), values.flatten(0, 1)
    singles = values.clone()
    if values.is_floating_point():
        inputs, singles = inputs.clone().requires_grad_(), singles.requires_grad_()
    found = first(stack(inputs))
    single = [first(m(v)) for m, v in zip(modules, singles, strict=True)]
    expected = torch.cat(single)
    assert_allclose(found.detach(), expected.detach(), rtol=0, atol=1e-12)
    slope = numbers(*found.shape, seed=9)
    wanted = [*stack.parameters()]
    own = [[*m.parameters()] for m in modules]
    if values.is_floating_point():
        wanted.append(inputs)
    gradients = torch.autograd.grad(found, wanted, slope, allow_unused=True)
    flat = [w for weights in own for w in weights]
    flat += [singles] if values.is_floating_point() else []
    oracle = torch.autograd.grad(expected, flat, slope, allow_unused=True)
    n = len(own[0])
    for k in range(n):
        stacked_oracle = torch.stack([oracle[m * n + k] for m in range(len(modules))])
        assert gradients[k].shape == stacked_oracle.shape
        assert_allclose(gradients[k], stacked_oracle, rtol=0, atol=1e-11)
        assert gradients[k].stride() == wanted[k].stride()  # as optimisers take them
    if values.is_floating_point():
        assert_allclose(gradients[n], oracle[-1].flatten(0, 1), rtol=0, atol=1e-11)


LEAVES = {
    "linear": (nn.Linear(E, H), (B, E)),
    "linear of steps": (nn.Linear(E, H), (B, 6, E)),
    "linear without bias": (nn.Linear(E, H, bias=False), (B, 2, E)),
    "norm": (nn.LayerNorm(E), (B, E)),
    "norm of steps": (nn.LayerNorm(E, eps=0.1), (B, 6, E)),
    "verbs and nouns": (VerbNounClassifier(HEAD, E), (B, 2, E)),
}


@pytest.mark.parametrize("n_models", [1, 3])
@pytest.mark.parametrize("name", LEAVES)
def test_leaf(name, n_models):
    leaf, shape = LEAVES[name]
    check([drawn(leaf, k) for k in range(n_models)], numbers(n_models, *shape))


@pytest.mark.parametrize("n_models", [1, 3])
def test_embedding(n_models):
    tables = [drawn(nn.Embedding(7, E), k) for k in range(n_models)]
    codes = torch.arange(n_models * 8).reshape(n_models, 4, 2) * 5 % 7
    check(tables, codes)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("n_steps", [1, 2, 6])
@pytest.mark.parametrize("n_models", [1, 3])
def test_recurrence(cell, n_layers, n_steps, n_models):
    leaf = cell(E, H, n_layers, batch_first=True)
    modules = [drawn(leaf, k) for k in range(n_models)]
    check(modules, numbers(n_models, B, n_steps, E), first=lambda out: out[0])


def test_every_kind_of_leaf_is_tested():
    kinds = {type(leaf) for leaf, _ in LEAVES.values()}
    apart = {nn.Embedding, nn.LSTM, nn.GRU, Dropout, Vectors}
    assert kinds | apart == set(STACKED)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 2),
)
def test_affine_is_that_of_torch_of_any_size(k, b, e, h, has_bias, n_axes):
    shape = (b, *(2, 3)[:n_axes], e)
    x, weight = numbers(k, *shape), numbers(k, h, e, seed=1)
    bias = numbers(k, h, seed=2) if has_bias else None
    found = affine(x.flatten(0, 1), weight, bias)
    expected = torch.cat(
        [
            nn.functional.linear(x[m], weight[m], None if bias is None else bias[m])
            for m in range(k)
        ]
    )
    assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_gradient_of_affine_is_that_of_small_differences():
    values = [numbers(6, E), numbers(2, H, E, seed=1), numbers(2, H, seed=2)]
    values = [v.requires_grad_() for v in values]
    assert torch.autograd.gradcheck(affine, values)
    assert torch.autograd.gradcheck(lambda x, w: affine(x, w, None), values[:2])


# -------------------------------------------------------------------------- dropout


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_dropout_of_each_model_is_that_of_its_own_generator():
    stack, values = stacked(Dropout(0.4)).train(), numbers(3, B, E)
    assert isinstance(stack, StackedDropout)
    stack.generators = generators(0, 1, 2)
    found = [stack(values.flatten(0, 1)) for _ in range(2)]  # streams go on
    for k, own in enumerate(generators(0, 1, 2)):
        single = Dropout(0.4).train()
        with lend_generator(single, own):
            for out in found:
                assert torch.equal(out.unflatten(0, (3, B))[k], single(values[k]))


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_dropout_that_passes_all_draws_nothing(p, training):
    stack = stacked(Dropout(p)).train(training)
    values = numbers(6, E)
    assert stack(values) is values  # without any generator


# ------------------------------------------------------------------------- networks


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "spec",
    [
        MLP((6, 5)),
        LSTM(5, anticipation_steps=2),
        LSTM(5, cell="gru", n_layers=2),
    ],
    ids=str,
)
def test_a_network_and_its_stack(spec, padded):
    network = spec.build((6, E), 4, generator=torch.Generator().manual_seed(0))
    networks = [drawn(network, k) for k in range(3)]
    clips = numbers(3, B, 6, E)
    if padded:
        clips[:, 0, :3] = torch.nan
        clips[1, 2, :5] = torch.nan
    stack = together(networks)
    found = stack(clips.flatten(0, 1))
    for k, single in enumerate(networks):
        expected = single(clips[k])
        for name in ("logits", "features"):
            values = getattr(found, name).unflatten(0, (3, B))[k]
            assert_allclose(
                values.detach(), getattr(expected, name).detach(), rtol=0, atol=1e-12
            )
        if padded and expected.mask is not None:
            assert torch.equal(found.mask.unflatten(0, (3, B))[k], expected.mask)


def test_a_stack_leaves_the_network_as_it_is():
    network = MLP((6, 5)).build((E,), 4, generator=torch.Generator().manual_seed(0))
    before, names = copy.deepcopy(network.state_dict()), str(network)
    stack = stacked(network)
    for weight in stack.parameters():
        weight.data = weight.data + 1
    assert str(network) == names
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, before[name])
    assert [n for n, _ in stack.named_parameters()] == list(before)
