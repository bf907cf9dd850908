"""A step of training: from the numbers of some samples to new weights."""


class GradientStep:
    """One step of gradient descent on a batch.

    Parameters
    ----------
    state : TrainingState
        Whose modules and optimiser are used.
    take_batch : callable
        Sample indices (B,) -> Batch on the device.
    objective : Objective
        Its terms; what is trained beside the network is among the modules of `state`.
    """

    def __init__(self, state, take_batch, objective):
        self.network = state.network
        self.optimizer = state.optimizer
        self.take_batch = take_batch
        self.objective = objective
        self.weights = objective.weights

    def __call__(self, samples):
        """Update the weights.   -> the terms, as the objective gave them."""
        batch = self.take_batch(samples)  # numbers (B,) -> clips (B, ...) of the device
        output = self.network(batch.clips)  # logits (B, S, C), features (B, N, d)
        terms = self.objective(output, batch)
        # Factors of their own in `backward` would import a compiler, in every process.
        weighted = [
            total * (self.weights.get(name, 1.0) / weight)
            for name, (total, weight) in terms.items()
        ]
        if not weighted:  # no row of the batch has any signal
            return {}
        self.optimizer.zero_grad()
        sum(weighted[1:], weighted[0]).backward()
        self.optimizer.step()
        return {name: (total.detach(), w) for name, (total, w) in terms.items()}

    def loss(self, means):
        """Objective of an epoch from the mean of each term."""
        return sum(self.weights.get(name, 1.0) * m for name, m in means.items())
