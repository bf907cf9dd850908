import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional
from toy_training import SEEDS, C, D, batches_of, state_of

from skanticipate.networks import Output
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import shuffled
from skanticipate.training.loop import Training, initial_state, training_epochs
from skanticipate.training.optimizers import SGD
from skanticipate.training.step import GradientStep


class Sums:
    """A term of which a function of the output gives the sums."""

    modules, take_futures = {}, None

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
