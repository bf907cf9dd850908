import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from torch import nn
from torch.nn import functional
from toy_training import SEEDS, C, D, batches_of, state_of

from skanticipate import MLP, SmoothedAnticipator
from skanticipate.networks import Output
from skanticipate.networks.stacked import stacked
from skanticipate.signals.maps import MapsInMemory
from skanticipate.terms.answers import AnswerTerm, answer_part
from skanticipate.terms.features import FeatureTerm
from skanticipate.terms.labels import LabelTerm, label_parts
from skanticipate.terms.marginals import MarginalTerm
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch, shuffled
from skanticipate.training.loop import Training, initial_state, training_epochs
from skanticipate.training.optimizers import SGD
from skanticipate.training.runtime import Compute
from skanticipate.training.step import GradientStep, clipped, gradients_of


class Sums:
    """A term of which a function of the output gives the sums."""

    modules, take_futures, take_maps = {}, None, None

    def __init__(self, name, weight, sums):
        self.name, self.weight, self.sums = name, weight, sums

    def __call__(self, output, batch):
        return self.sums(output)


def rows_of(X):
    """Batches of the rows of a tensor."""
    return batches_of(lambda samples: X[samples])


class Linear(nn.Module):
    """Scores, and an extra loss of its own, for the step's oracle."""

    def __init__(self, with_auxiliary):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, D * C).reshape(D, C))
        self.with_auxiliary = with_auxiliary

    def forward(self, clips):
        auxiliary = self.weight.square().sum() if self.with_auxiliary else None
        return Output((clips @ self.weight).unsqueeze(1), auxiliary_loss=auxiliary)


@pytest.mark.parametrize("with_auxiliary", [False, True])
def test_step_goes_down_the_gradient_of_the_weighted_means(with_auxiliary):
    X = torch.randn(10, D, generator=torch.Generator().manual_seed(1))
    network = Linear(with_auxiliary)
    samples, lr = torch.tensor([1, 4, 7]), 0.1

    def entropy(output):
        logits = output.logits[:, 0]
        return functional.cross_entropy(logits, samples % C, reduction="sum"), 3

    def squares(output):
        return 2 * output.logits.square().sum(), torch.tensor(8.0)

    weight = network.weight.detach().clone().requires_grad_()
    logits = X[samples] @ weight
    loss = 0.5 * functional.cross_entropy(logits, samples % C)
    loss = loss + 1.5 * 2 * logits.square().sum() / 8
    if with_auxiliary:
        loss = loss + weight.square().sum()
    loss.backward()
    state = state_of(network, "sgd", lr=lr, weight_decay=0.0)
    objective = Objective([Sums("base", 0.5, entropy), Sums("text", 1.5, squares)])
    step = GradientStep(state, rows_of(X), objective)
    terms = step(samples)
    assert_allclose(
        network.weight.detach(), (weight - lr * weight.grad).detach(), rtol=1e-5
    )
    assert not any(total.requires_grad for total, _ in terms.values())
    means = {name: float(total / w) for name, (total, w) in terms.items()}
    assert step.loss(means) == pytest.approx(
        0.5 * means["base"] + 1.5 * means["text"] + means.get("auxiliary", 0.0)
    )


def test_gradients_of_an_earlier_step_are_forgotten():
    X, network = torch.ones(2, D), Linear(False)
    optimizer = SGD(network.parameters(), lr=0.02, momentum=0.0, weight_decay=0.0)
    state = initial_state({"network": network}, optimizer, SEEDS)
    objective = Objective([Sums("base", 1.0, lambda output: (output.logits.sum(), 1))])
    step = GradientStep(state, rows_of(X), objective)
    before = network.weight.detach().clone()
    for _ in range(3):
        step(torch.tensor([0]))
    assert_allclose(network.weight.detach(), before - 3 * 0.02, rtol=1e-4, atol=1e-6)


def test_auxiliary_loss_that_is_not_finite_ends_training():
    class Broken(Linear):
        def forward(self, clips):
            return Output(
                super().forward(clips).logits, auxiliary_loss=self.weight.log().sum()
            )

    X, network = torch.ones(2, D), Broken(False)
    state = state_of(network)
    objective = Objective([Sums("base", 1.0, lambda output: (output.logits.sum(), 1))])
    step = GradientStep(state, rows_of(X), objective)
    with pytest.raises(ValueError, match="epoch 1"):
        list(training_epochs(Training(state, step, shuffled(2, 2), 1)))


def test_a_batch_without_any_signal_moves_nothing():
    network = Linear(False)
    state = state_of(network, "adamw")
    before = network.weight.detach().clone()
    objective = Objective([Sums("text", 1.0, lambda output: None)])
    step = GradientStep(state, rows_of(torch.ones(4, D)), objective)
    assert step(torch.tensor([0, 1])) == {}
    assert torch.equal(network.weight, before)


# ------------------------------------------------------ gradients that are made by hand


def closed(networks, autograd):
    """Stack of networks, or the only one; by autograd on demand."""
    network = copy.deepcopy(networks[0])
    if len(networks) > 1:
        network = stacked(network)
        names = [name for name, _ in network.named_parameters()]
        owners = dict(network.named_modules())
        leaves = zip(*(n.parameters() for n in networks), strict=True)
        for name, weights in zip(names, leaves, strict=True):
            owner, _, last = name.rpartition(".")
            weight = nn.Parameter(torch.stack(weights).detach())
            owners[owner]._parameters[last] = weight
    assert network.is_closed
    network.is_closed = not autograd
    return network


CPU64 = Compute(torch.device("cpu"), torch.float64)
WITH = ("nothing", "text", "marginal", "maps", "text and maps", "weak", "pooled")


def objective_of(kind, other, weighted, seed, n=12):
    """Labels of a kind, and other terms beside them."""
    rng = np.random.default_rng(seed)
    codes, has = rng.integers(0, C, n), np.ones(n, dtype=bool)
    weights = rng.random(n) + 0.1 if weighted else None
    table = rng.dirichlet(np.ones(C), C)
    if kind == "short":  # as rows of float32, but plainly, they miss 1
        table *= 0.9
    smoothing = {"hard": 0.0, "soft": 0.3, "prior": 1.0}.get(kind, 0.2)
    if kind in ("some", "answers"):
        codes[::3] = -1
    prior = [(table, np.maximum(codes, 0), 1.0)]
    parts = label_parts(codes, prior if smoothing else [], smoothing)
    if kind == "answers":
        proba = rng.dirichlet(np.ones(C), n)
        parts.append(answer_part(proba, np.arange(n)).of(codes < 0))
    base = codes >= 0 if kind == "some" else has
    terms = [LabelTerm(parts, base, weights, CPU64)]
    if "text" in other:
        read = rng.random(n) < 0.5
        options = {"proba": rng.dirichlet(np.ones(C), n), "index": np.arange(n)}
        options |= {"temperature": 2.0, "top_k": 2}
        terms.append(AnswerTerm("text", 0.7, read, weights, CPU64, **options))
    if "marginal" in other:
        own = {"codes": codes, "part_of": np.arange(C) % 2}
        terms.append(MarginalTerm("verb", 0.4, weights, CPU64, **own))
    if "maps" in other:
        maps = MapsInMemory(
            rng.normal(size=(n, 1, 2)), np.arange(n), CPU64, alpha=1.0, attended=True
        )
        options = {"alignment": "weak", "alpha": 1.0, "maps": maps}
        layer = nn.Linear(5, 2, bias=False, dtype=torch.float64)
        options["projection"] = layer
        terms.append(FeatureTerm(0.3, has, weights, CPU64, **options))
    if other in ("weak", "pooled"):  # maps of one position, for some of the samples
        maps = MapsInMemory(
            3 * rng.normal(size=(n, 1, 5)),
            np.arange(n),
            CPU64,
            alpha=1.0,
            attended=True,
        )
        options = {"alignment": other, "alpha": 1.0, "maps": maps}
        options["projection"] = nn.Identity()
        future = rng.random(n) < 0.6
        terms.append(FeatureTerm(0.3, future, weights, CPU64, **options))
    return Objective(terms)


@pytest.mark.parametrize("n_models", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "short", "prior", "some", "answers"])
@pytest.mark.parametrize("other", WITH)
def test_gradients_made_by_hand_are_those_of_autograd(kind, other, weighted, n_models):
    networks = [
        MLP((6, 5)).build((D,), C, generator=torch.Generator().manual_seed(k)).double()
        for k in range(n_models)
    ]
    objectives = [objective_of(kind, other, weighted, k) for k in range(n_models)]
    objective, models = objectives[0], None
    if n_models > 1:
        objective, models = Objective.stack(objectives), slice(0, n_models)
    samples = torch.tensor([3, 1, 7, 11, 2, 0])
    samples = torch.cat([samples + 12 * k for k in range(n_models)])
    generator = torch.Generator().manual_seed(5)
    clips = torch.randn(len(samples), D, dtype=torch.float64, generator=generator)
    found, expected = (
        gradients_of(
            network := closed(networks, autograd),
            objective,
            Batch(samples, clips, models=models),
            [
                *network.parameters(),
                *(p for m in objective.modules.values() for p in m.parameters()),
            ],
        )
        for autograd in (False, True)
    )
    assert found[0].keys() == expected[0].keys()
    for name, sums in expected[0].items():
        for ours, theirs in zip(found[0][name], sums, strict=True):
            assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=name)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        assert_allclose(ours, theirs, rtol=0, atol=1e-12)
        assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("hidden_size", [1, 4, (3, 1), (6, 5, 4)])
def test_closed_form_is_what_the_network_says(hidden_size):
    spec = MLP(hidden_size)
    network = spec.build((2, D), C, generator=torch.Generator().manual_seed(0)).double()
    clips = torch.randn(7, 2, D, dtype=torch.float64)
    clips[3, 0] = torch.nan  # padding
    output = network(clips)
    found = network.closed_form(clips, [*network.parameters()])
    assert_allclose(found.logits.detach(), output.logits[:, 0].detach(), atol=1e-12)
    assert_allclose(found.features.detach(), output.features[:, 0].detach(), atol=1e-12)
    for of_logits, of_features in [(1, 1), (1, 0), (0, 1)]:
        slopes = torch.randn_like(found.logits), torch.randn_like(found.features)
        total = of_logits * (output.logits[:, 0] * slopes[0]).sum()
        total = total + of_features * (output.features[:, 0] * slopes[1]).sum()
        oracle = torch.autograd.grad(total, [*network.parameters()], retain_graph=True)
        with torch.no_grad():
            given = [
                slopes[0] if of_logits else None,
                slopes[1] if of_features else None,
            ]
            made = network.closed_form(clips, [*network.parameters()]).backward(*given)
        assert len(made) == found.n_parameters == len(oracle)
        for ours, theirs in zip(made, oracle, strict=True):
            if ours is None:
                assert not theirs.any()  # nothing moves it
            else:
                assert_allclose(ours, theirs, atol=1e-12)


# ------------------------------------------------------------------- norms of gradients


def gradients(seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 3), (3,), (2, 5)]
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


@pytest.mark.parametrize("max_norm", [0.1, 3.0, 1e6])
def test_gradients_are_clipped_as_by_torch(max_norm):
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients(0)]
    for parameter, gradient in zip(parameters, gradients(0), strict=True):
        parameter.grad = gradient
    nn.utils.clip_grad_norm_(parameters, max_norm)
    first, *found = clipped([None, *gradients(0)], max_norm)
    assert first is None
    for gradient, parameter in zip(found, parameters, strict=True):
        assert_allclose(gradient, parameter.grad, rtol=1e-14)


def test_those_of_models_side_by_side_each_to_its_own_norm():
    norms = torch.tensor([0.1, torch.inf, 2.0], dtype=torch.float64)
    models = [gradients(k) for k in range(3)]
    stacks = [torch.stack(same) for same in zip(*models, strict=True)]
    found = clipped([stacks[0], None, *stacks[1:]], norms)
    assert found.pop(1) is None
    for k, norm in enumerate(norms.tolist()):
        for stack, expected in zip(found, clipped(models[k], norm), strict=True):
            assert_allclose(stack[k], expected, rtol=1e-14)
    assert torch.equal(found[0][1], models[1][0])


def test_a_fit_takes_steps_of_that_norm():
    X, y = np.eye(6), np.arange(6) % 2
    options = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "lr": 1.0}
    model = SmoothedAnticipator(
        MLP(4), max_epochs=1, max_grad_norm=0.01, random_state=0, **options
    )
    start = clone(model).set_params(lr=1e-30).fit(X, y).network_.state_dict()
    end = model.fit(X, y).network_.state_dict()
    moved = torch.cat([(end[name] - start[name]).flatten() for name in start])
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-3)
