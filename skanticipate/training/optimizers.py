"""SGD, Adam and AdamW over the fused kernels of torch.

The classes of `torch.optim` run profiler and compiler hooks around every step, and its
functions sort tensors by device; in a small network these take a quarter of the whole
training step. The arithmetic is torch's, to the bit. Parameters are of one device and
type, and gradients lie in memory as they do.
"""

import torch

from skanticipate.training.torch_optimizer import TorchOptimizer


class SGD:
    """Stochastic gradient descent, as `torch.optim.SGD`."""

    moments = ("velocities",)  # attributes with a tensor for each parameter

    def __init__(self, parameters, *, lr, momentum, nesterov=False, weight_decay):
        self.parameters = list(parameters)
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.velocities = [torch.zeros_like(p) for p in self.parameters]

    def update(self, gradients):
        """Move every parameter that has a gradient in the list; in `torch.no_grad`."""
        parameters, gradients, velocities = _that_move(
            gradients, self.parameters, self.velocities
        )
        if not parameters:
            return
        torch._fused_sgd_(
            parameters,
            gradients,
            velocities if self.momentum else [],
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=self.lr,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
            is_first_step=False,
        )

    def follow(self, other, *, shared=False):
        """Be as far as another that takes the same steps; `shared`: from now on too.

        The moments stay.
        """

    def state_dict(self):
        """What the next step depends on, beside the parameters."""
        return {"velocities": [v.clone() for v in self.velocities]}

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        _fill(self.velocities, state["velocities"])


class AdamW:
    """Adam with decoupled weight decay, as `torch.optim.AdamW`."""

    betas = (0.9, 0.999)
    eps = 1e-8
    moments = ("means", "squares")
    kernel = staticmethod(torch._fused_adamw_)

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

    def update(self, gradients):
        """Move every parameter that has a gradient in the list; in `torch.no_grad`."""
        parameters, gradients, means, squares, counts = _that_move(
            gradients, self.parameters, self.means, self.squares, self.counts
        )
        if not parameters:
            return
        torch._foreach_add_(counts, 1)
        self.kernel(
            parameters,
            gradients,
            means,
            squares,
            [],
            counts,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )

    def follow(self, other, *, shared=False):
        """Be as far as another that takes the same steps; `shared`: from now on too."""
        self.counts = other.counts if shared else [c.clone() for c in other.counts]

    def state_dict(self):
        """What the next step depends on, beside the parameters."""
        names = ("means", "squares", "counts")
        return {name: [v.clone() for v in getattr(self, name)] for name in names}

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        for name, values in state.items():
            _fill(getattr(self, name), values)


class Adam(AdamW):
    """Adam whose weight decay is part of the gradient, as `torch.optim.Adam`."""

    kernel = staticmethod(torch._fused_adam_)


class MatrixDecayAdamW:
    """AdamW whose weight decay spares biases and norms: all that is no matrix."""

    def __init__(self, parameters, *, lr, weight_decay):
        self.parameters = list(parameters)
        self.is_matrix = [p.ndim > 1 for p in self.parameters]
        matrices, vectors = self._by_kind(self.parameters)
        self.parts = [
            AdamW(matrices, lr=lr, weight_decay=weight_decay),
            AdamW(vectors, lr=lr, weight_decay=0.0),
        ]

    def _by_kind(self, values):
        """Values of the parameters that are matrices, and of the others."""
        pairs = list(zip(values, self.is_matrix, strict=True))
        return [v for v, is_m in pairs if is_m], [v for v, is_m in pairs if not is_m]

    @property
    def lr(self):
        """Learning rate of all parameters."""
        return self.parts[0].lr

    @lr.setter
    def lr(self, lr):
        for part in self.parts:
            part.lr = lr

    def update(self, gradients):
        """Move every parameter that has a gradient in the list."""
        for part, own in zip(self.parts, self._by_kind(gradients), strict=True):
            part.update(own)

    def state_dict(self):
        """What the next step depends on, beside the parameters."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        for part, given in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(given)


def _fill(tensors, values):
    """Copy values into tensors, which stay where they lie: kernels go by strides."""
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _that_move(gradients, parameters, *others):
    """Parameters that have a gradient, their gradients, and what else they have."""
    if all(g is not None for g in gradients):
        return parameters, gradients, *others
    moved = [k for k, gradient in enumerate(gradients) if gradient is not None]
    return [[v[k] for k in moved] for v in (parameters, gradients, *others)]


def make_optimizer(kind, modules, *, lr, momentum, nesterov, weight_decay):
    """Optimiser over the parameters of modules.

    Parameters
    ----------
    kind : {"adamw", "adam", "sgd"} or callable
        One of ours, or `(parameters, lr) -> torch.optim.Optimizer`.
    modules : iterable of torch.nn.Module
    lr, momentum, weight_decay : float
        The last two are not for a callable; momentum is that of "sgd".
    nesterov : bool
        Whether the momentum of "sgd" is Nesterov's.
    """
    parameters = [p for module in modules for p in module.parameters()]
    if callable(kind):
        return TorchOptimizer(kind, parameters, lr=lr)
    if kind == "sgd":
        return SGD(
            parameters,
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
    kinds = {"adam": Adam, "adamw": AdamW}
    return kinds[kind](parameters, lr=lr, weight_decay=weight_decay)
