import copy

import pytest
import torch
from torch import nn

from skanticipate.training.optimizers import (
    SGD,
    Adam,
    AdamW,
    MatrixDecayAdamW,
    make_optimizer,
)
from skanticipate.training.torch_optimizer import TorchOptimizer


def sparing_adamw(parameters, *, weight_decay, **options):
    """torch.optim.AdamW, with weight decay for matrices only."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, **options)


PAIRS = [
    (SGD, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    (SGD, torch.optim.SGD, {"momentum": 0.0, "weight_decay": 0.0}),
    (SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (Adam, torch.optim.Adam, {"weight_decay": 0.01}),
    (AdamW, torch.optim.AdamW, {"weight_decay": 0.01}),
    (AdamW, torch.optim.AdamW, {"weight_decay": 0.0}),
    (MatrixDecayAdamW, sparing_adamw, {"weight_decay": 0.01}),
    (MatrixDecayAdamW, sparing_adamw, {"weight_decay": 0.0}),
]


def new_parameters(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (3,), (2, 5)]
    return [
        torch.randn(s, generator=generator, dtype=dtype).requires_grad_()
        for s in shapes
    ]


def give_gradients(parameters, step, without=()):
    for k, parameter in enumerate(parameters):
        generator = torch.Generator().manual_seed(100 * step + k)
        values = torch.randn(
            parameter.shape, generator=generator, dtype=parameter.dtype
        )
        parameter.grad = None if k in without else values


def move(optimizer):
    """Take a step by the gradients that the parameters hold."""
    with torch.no_grad():
        optimizer.update([p.grad for p in optimizer.parameters])


def rate(step):
    return 0.1 / (1 + step)


def run_ours(optimizer, parameters, steps, without=()):
    for step in steps:
        give_gradients(parameters, step, without)
        optimizer.lr = rate(step)
        move(optimizer)


def assert_same_bits(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


def assert_same_state(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = one.values(), other.values()
    for a, b in zip(one, other, strict=True):
        if isinstance(a, torch.Tensor):
            assert torch.equal(a, b)
        else:
            assert_same_state(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("without", [(), (1,), (0, 1, 2)])
@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_twenty_steps_give_the_bits_of_torch(kind, peer, options, without, dtype):
    ours, theirs = new_parameters(dtype), new_parameters(dtype)
    run_ours(kind(ours, lr=0.1, **options), ours, range(20), without)
    optimizer = peer(theirs, lr=0.1, fused=True, **options)
    for step in range(20):
        give_gradients(theirs, step, without)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
    assert_same_bits(ours, theirs)


@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_parameter_without_gradient_stays(kind, peer, options):
    parameters = new_parameters()
    before = parameters[1].detach().clone()
    optimizer = kind(parameters, lr=0.1, **options)
    run_ours(optimizer, parameters, range(3), without=(1,))
    assert torch.equal(parameters[1], before)
    assert not torch.equal(parameters[0], new_parameters()[0])


@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_gradient_that_comes_late_moves_its_parameter_as_in_torch(kind, peer, options):
    ours, theirs = new_parameters(torch.float64), new_parameters(torch.float64)
    mine = kind(ours, lr=0.1, **options)
    # Not fused: the fused SGD of torch 2.13 stumbles over a late gradient itself.
    optimizer = peer(theirs, lr=0.1, foreach=False, fused=False, **options)
    for step in range(6):
        without = (1,) if step < 3 else ()
        run_ours(mine, ours, [step], without)
        give_gradients(theirs, step, without)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_reloaded_state_continues_with_the_same_bits(kind, peer, options):
    straight, broken = new_parameters(), new_parameters()
    run_ours(kind(straight, lr=0.1, **options), straight, range(10))
    first = kind(broken, lr=0.1, **options)
    run_ours(first, broken, range(4))
    second = kind(broken, lr=0.1, **options)
    second.load_state_dict(first.state_dict())
    run_ours(second, broken, range(4, 10))
    assert_same_bits(broken, straight)


@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_state_dict_is_a_snapshot(kind, peer, options):
    parameters = new_parameters()
    optimizer = kind(parameters, lr=0.1, **options)
    run_ours(optimizer, parameters, range(2))
    snapshot = optimizer.state_dict()
    before = copy.deepcopy(snapshot)
    run_ours(optimizer, parameters, range(2, 5))
    assert_same_state(snapshot, before)


def test_sgd_without_momentum_is_a_step_down_the_gradient():
    parameter = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = SGD([parameter], lr=0.5, momentum=0.0, weight_decay=0.1)
    parameter.grad = torch.tensor([2.0, -1.0])
    move(optimizer)
    # w - lr (g + decay w): 1 - 0.5 * 2.1 and 2 - 0.5 * -0.8
    torch.testing.assert_close(parameter.detach(), torch.tensor([-0.05, 2.4]))


def test_first_step_of_adamw_has_the_length_of_its_rate():
    parameter = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = AdamW([parameter], lr=0.5, weight_decay=0.0)
    parameter.grad = torch.tensor([1e-3, -7.0])
    move(optimizer)
    torch.testing.assert_close(
        parameter.detach(), torch.tensor([0.5, 2.5]), rtol=1e-4, atol=0
    )


# ------------------------------------------------------- weight decay of matrices


def test_weight_decay_spares_biases_and_norms():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    before = {name: w.detach().clone() for name, w in layer.named_parameters()}
    optimizer = MatrixDecayAdamW(layer.parameters(), lr=0.1, weight_decay=0.5)
    optimizer.lr = 0.2
    for weight in layer.parameters():
        weight.grad = torch.zeros_like(weight)
    move(optimizer)
    for name, weight in layer.named_parameters():
        factor = 1 - 0.2 * 0.5 if weight.ndim > 1 else 1
        torch.testing.assert_close(weight.detach(), factor * before[name])


def test_the_optimiser_is_that_of_torch():
    layers = []
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers.append(nn.Linear(3, 2))
    ours = MatrixDecayAdamW(layers[0].parameters(), lr=0.1, weight_decay=0.5)
    peer = sparing_adamw(list(layers[1].parameters()), lr=0.1, weight_decay=0.5)
    X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        for layer, step in zip(layers, (lambda: move(ours), peer.step), strict=True):
            layer.zero_grad()
            layer(X).square().sum().backward()
            step()
    for found, expected in zip(*(layer.parameters() for layer in layers), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------- by name


class TorchPeer:
    """An optimiser of torch, moved as ours are."""

    def __init__(self, inner, parameters):
        self.inner, self.parameters = inner, parameters

    def __setattr__(self, name, value):
        if name == "lr":
            for group in self.inner.param_groups:
                group["lr"] = value
        super().__setattr__(name, value)

    def update(self, gradients):
        self.inner.step()


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("sgd", lambda p: SGD(p, lr=0.1, momentum=0.8, weight_decay=0.02)),
        ("adam", lambda p: Adam(p, lr=0.1, weight_decay=0.02)),
        ("adamw", lambda p: AdamW(p, lr=0.1, weight_decay=0.02)),
        (
            lambda p, lr: torch.optim.RMSprop(p, lr, momentum=0.5),
            lambda p: TorchPeer(torch.optim.RMSprop(p, 0.1, momentum=0.5), p),
        ),
    ],
)
def test_an_optimiser_of_a_name_moves_the_parameters_of_all_modules(name, peer):
    found, expected = (
        [nn.Parameter(p.detach()) for p in new_parameters()] for _ in range(2)
    )
    modules = nn.ParameterList(found[:1]), nn.ParameterList(found[1:])
    optimizer = make_optimizer(
        name, modules, lr=0.1, momentum=0.8, nesterov=False, weight_decay=0.02
    )
    run_ours(optimizer, found, range(3))
    run_ours(peer(expected), expected, range(3))
    assert_same_bits(found, expected)


def test_groups_of_a_users_optimiser_keep_their_ratio_of_rates():
    parameters = new_parameters()

    def make(given, lr):
        slow = {"params": given[:1], "lr": lr / 4}
        return torch.optim.SGD([slow, {"params": given[1:]}], lr=lr)

    optimizer = TorchOptimizer(make, parameters, lr=0.2)
    before = [p.detach().clone() for p in parameters]
    optimizer.lr = 0.1
    with torch.no_grad():
        optimizer.update([torch.ones_like(p) for p in parameters])
    moved = [(b - p).unique() for b, p in zip(before, parameters, strict=True)]
    torch.testing.assert_close(
        [m.mean() for m in moved], [torch.tensor(v) for v in (0.025, 0.1, 0.1)]
    )
    assert all(p.grad is None for p in parameters)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda p, lr: lr, TypeError, "returned a float"),
        (lambda p: p, TypeError, r"\(parameters, lr\).*takes 1 positional argument"),
        (lambda p, lr: torch.optim.SGD([torch.ones(2)], lr), ValueError, "has others"),
        (lambda p, lr: torch.optim.LBFGS(p, lr), TypeError, "LBFGS cannot be"),
    ],
)
def test_what_is_no_optimiser_of_the_parameters_is_refused(make, kind, message):
    parameters = new_parameters()
    with pytest.raises(kind, match=message):
        optimizer = TorchOptimizer(make, parameters, lr=0.1)
        optimizer.update([torch.ones_like(p) for p in parameters])
    assert all(p.grad is None for p in parameters)
