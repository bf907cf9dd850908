"""SGD and AdamW over torch's functional forms.

The classes of `torch.optim` run profiler and compiler hooks around every step; in a
small network these take a quarter of the whole training step. The arithmetic is
torch's, to the bit.
"""

import torch
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


class SGD:
    """Stochastic gradient descent with momentum, as `torch.optim.SGD`."""

    def __init__(self, parameters, *, lr, momentum, weight_decay):
        self.parameters = list(parameters)
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self):
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self):
        """Move every parameter that has a gradient."""
        moved = [k for k, p in enumerate(self.parameters) if p.grad is not None]
        sgd(
            [self.parameters[k] for k in moved],
            [self.parameters[k].grad for k in moved],
            [self.velocities[k] for k in moved],
            fused=True,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=self.lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def state_dict(self):
        """What the next step depends on, beside the parameters."""
        return {"velocities": [v.clone() for v in self.velocities]}

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        self.velocities = [v.clone() for v in state["velocities"]]


class AdamW:
    """Adam with decoupled weight decay, as `torch.optim.AdamW`."""

    betas = (0.9, 0.999)
    eps = 1e-8

    def __init__(self, parameters, *, lr, weight_decay):
        self.parameters = list(parameters)
        self.lr = lr
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.counts = [
            torch.zeros((), dtype=torch.float32, device=p.device)
            for p in self.parameters
        ]

    zero_grad = SGD.zero_grad

    @torch.no_grad()
    def step(self):
        """Move every parameter that has a gradient."""
        moved = [k for k, p in enumerate(self.parameters) if p.grad is not None]
        adamw(
            [self.parameters[k] for k in moved],
            [self.parameters[k].grad for k in moved],
            [self.means[k] for k in moved],
            [self.squares[k] for k in moved],
            [],
            [self.counts[k] for k in moved],
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )

    def state_dict(self):
        """What the next step depends on, beside the parameters."""
        names = ("means", "squares", "counts")
        return {name: [v.clone() for v in getattr(self, name)] for name in names}

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        for name, values in state.items():
            setattr(self, name, [v.clone() for v in values])


class MatrixDecayAdamW:
    """AdamW whose weight decay spares biases and norms: all that is no matrix."""

    def __init__(self, parameters, *, lr, weight_decay):
        parameters = list(parameters)
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        self.parts = [
            AdamW(matrices, lr=lr, weight_decay=weight_decay),
            AdamW(vectors, lr=lr, weight_decay=0.0),
        ]

    @property
    def lr(self):
        """Learning rate of all parameters."""
        return self.parts[0].lr

    @lr.setter
    def lr(self, lr):
        for part in self.parts:
            part.lr = lr

    def zero_grad(self):
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self):
        """Move every parameter that has a gradient."""
        for part in self.parts:
            part.step()

    def state_dict(self):
        """What the next step depends on, beside the parameters."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        for part, given in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(given)


def make_optimizer(name, modules, *, lr, momentum, weight_decay):
    """Optimiser of a name over the parameters of modules.

    Parameters
    ----------
    name : {"adamw", "sgd"}
    modules : iterable of torch.nn.Module
    lr, momentum, weight_decay : float
        Momentum is that of "sgd".
    """
    parameters = [p for module in modules for p in module.parameters()]
    if name == "sgd":
        return SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
    return AdamW(parameters, lr=lr, weight_decay=weight_decay)
