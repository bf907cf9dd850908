"""What a stream asks of a network that reads a clip step by step."""

import torch


class Stepper:
    """A network that goes on from where it was, one step of its clips at a time.

    A state is a tuple of tensors, each with a row for each clip. `read` gives a new
    one; what an earlier one says stays as it was. A state of zeros is one that no step
    has been read into. A subclass writes the methods that raise here.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    stage : int
        Index of the stage that answers.
    n_stages : int
        Number of stages S.
    """

    def __init__(self, network, stage, n_stages):
        self.network = network
        self.lag = n_stages - 1 - stage  # steps that the answering stage lies back

    def steps(self, clips, all_real=False):
        """Steps (n, k, e) of clips, which are real (n, k) or None for all.

        `all_real`: that none is missing is known, and need not be looked for.
        """
        if not all_real:
            return self.network.input(clips)
        return clips if clips.ndim == 3 else clips.flatten(2), None

    def start(self, n_clips):
        """State before any step.   -> tuple of tensors (n, ...), zeros."""
        raise NotImplementedError

    def check(self, state, n_more):
        """Refuse so many real steps (n,) more, where there is no room for them."""

    def read(self, state, step, real):
        """State after one step more; a clip whose step is missing keeps its own.

        Parameters
        ----------
        state : tuple of tensor
        step : tensor of shape (n, e)
        real : tensor of shape (n,) of bool, or None for all

        Returns
        -------
        tuple of tensor
        """
        raise NotImplementedError

    def scores(self, state):
        """What the answering stage says where it is at the step read last.

        -> (n, C)
        """
        raise NotImplementedError

    def zeros(self, *shape, dtype=None):
        """Tensor of zeros, on the device and in the precision of the network."""
        return next(self.network.parameters()).new_zeros(shape, dtype=dtype)


def kept(real, new, old):
    """Tensors (n, ...) of which rows without a real step keep the old ones."""
    if real is None:
        return new
    return tuple(
        torch.where(real.view(-1, *[1] * (after.ndim - 1)), after, before)
        for after, before in zip(new, old, strict=True)
    )
