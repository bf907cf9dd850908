import pytest
import torch

from skanticipate._optimizers import SGD, AdamW

PAIRS = [
    (SGD, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    (SGD, torch.optim.SGD, {"momentum": 0.0, "weight_decay": 0.0}),
    (AdamW, torch.optim.AdamW, {"weight_decay": 0.01}),
    (AdamW, torch.optim.AdamW, {"weight_decay": 0.0}),
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


def rate(step):
    return 0.1 / (1 + step)


def run_ours(optimizer, steps, without=()):
    for step in steps:
        give_gradients(optimizer.parameters, step, without)
        optimizer.lr = rate(step)
        optimizer.step()


def assert_same_bits(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("without", [(), (1,), (0, 1, 2)])
@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_twenty_steps_give_the_bits_of_torch(kind, peer, options, without, dtype):
    ours, theirs = new_parameters(dtype), new_parameters(dtype)
    run_ours(kind(ours, lr=0.1, **options), range(20), without)
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
    run_ours(kind(parameters, lr=0.1, **options), range(3), without=(1,))
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
        run_ours(mine, [step], without)
        give_gradients(theirs, step, without)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_reloaded_state_continues_with_the_same_bits(kind, peer, options):
    straight, broken = new_parameters(), new_parameters()
    run_ours(kind(straight, lr=0.1, **options), range(10))
    first = kind(broken, lr=0.1, **options)
    run_ours(first, range(4))
    second = kind(broken, lr=0.1, **options)
    second.load_state_dict(first.state_dict())
    run_ours(second, range(4, 10))
    assert_same_bits(broken, straight)


@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_state_dict_is_a_snapshot(kind, peer, options):
    optimizer = kind(new_parameters(), lr=0.1, **options)
    run_ours(optimizer, range(2))
    snapshot = optimizer.state_dict()
    copies = {
        k: [None if v is None else v.clone() for v in vs] for k, vs in snapshot.items()
    }
    run_ours(optimizer, range(2, 5))
    for name, values in snapshot.items():
        for value, copy in zip(values, copies[name], strict=True):
            assert value is copy is None or torch.equal(value, copy)


@pytest.mark.parametrize(("kind", "peer", "options"), PAIRS)
def test_zero_grad_forgets_the_gradients(kind, peer, options):
    parameters = new_parameters()
    optimizer = kind(parameters, lr=0.1, **options)
    give_gradients(parameters, 0)
    optimizer.zero_grad()
    assert [p.grad for p in parameters] == [None, None, None]


def test_sgd_without_momentum_is_a_step_down_the_gradient():
    parameter = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = SGD([parameter], lr=0.5, momentum=0.0, weight_decay=0.1)
    parameter.grad = torch.tensor([2.0, -1.0])
    optimizer.step()
    # w - lr (g + decay w): 1 - 0.5 * 2.1 and 2 - 0.5 * -0.8
    torch.testing.assert_close(parameter.detach(), torch.tensor([-0.05, 2.4]))


def test_first_step_of_adamw_has_the_length_of_its_rate():
    parameter = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = AdamW([parameter], lr=0.5, weight_decay=0.0)
    parameter.grad = torch.tensor([1e-3, -7.0])
    optimizer.step()
    torch.testing.assert_close(
        parameter.detach(), torch.tensor([0.5, 2.5]), rtol=1e-4, atol=0
    )
