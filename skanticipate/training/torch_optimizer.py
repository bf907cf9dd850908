"""Any optimiser of torch, as our loop drives its own."""

import copy

import torch


class TorchOptimizer:
    """An optimiser that a user's function makes.

    Parameters
    ----------
    make : callable
        `(parameters, lr) -> torch.optim.Optimizer` over these parameters. Its groups
        may have rates of their own: a schedule multiplies them all alike.
    parameters : list of torch.nn.Parameter
    lr : float
        Learning rate at the start.

    Raises
    ------
    TypeError
        If the function gives something else.
    ValueError
        If it gives an optimiser of other parameters, or of none.
    """

    def __init__(self, make, parameters, *, lr):
        self.parameters = list(parameters)
        self.first_lr = self.lr = lr
        self.inner = _made(make, self.parameters, lr)
        if not isinstance(self.inner, torch.optim.Optimizer):
            raise TypeError(
                "optimizer must be a function (parameters, lr) that returns a "
                f"torch.optim.Optimizer; it returned a {type(self.inner).__name__}."
            )
        groups = self.inner.param_groups
        given = {id(p) for group in groups for p in group["params"]}
        if not given or not given <= {id(p) for p in self.parameters}:
            raise ValueError(
                "The function given as optimizer must hand the parameters that it is "
                "called with to the optimiser it returns, all or some of them; this "
                "one has others, or none."
            )
        self.group_rates = [group["lr"] for group in groups]

    def update(self, gradients):
        """Take a step by the gradients of the parameters, None where there is none."""
        for group, rate in zip(self.inner.param_groups, self.group_rates, strict=True):
            group["lr"] = rate * (self.lr / self.first_lr)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        try:
            self.inner.step()
        except TypeError as error:  # LBFGS asks for the loss, again and again
            raise TypeError(
                f"{type(self.inner).__name__} cannot be the optimizer: its step needs "
                f"more than gradients ({error}). Take one that goes by them alone, as "
                "torch.optim.SGD does."
            ) from error
        finally:
            self.inner.zero_grad(set_to_none=True)

    def state_dict(self):
        """What the next step depends on, beside the parameters."""
        return copy.deepcopy(self.inner.state_dict())

    def load_state_dict(self, state):
        """Continue from what `state_dict` gave."""
        self.inner.load_state_dict(copy.deepcopy(state))
        # torch casts what it loads to the type of the parameters: products of rates
        # that were float32 would go on in float64, and round otherwise.
        loaded = [p for group in self.inner.param_groups for p in group["params"]]
        for number, kept in state["state"].items():
            own = self.inner.state[loaded[number]]
            for name, value in kept.items():
                if isinstance(value, torch.Tensor):
                    own[name] = value.detach().clone().to(own[name].device)


def _made(make, parameters, lr):
    try:
        return make(parameters, lr)
    except TypeError as error:
        raise TypeError(
            "optimizer must be a function (parameters, lr) that returns a "
            f"torch.optim.Optimizer; calling it raises {error}."
        ) from error
