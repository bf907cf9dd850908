"""skorch as a peer: what its users would write, with nothing in its way.

The same data, batches, steps and optimiser as ours, no part held out, no callbacks,
nothing printed, large batches in prediction.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

try:
    from skorch import NeuralNetClassifier
except ImportError:
    NeuralNetClassifier = None

OPTIMIZERS = {
    "sgd": {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
    "adamw": {"optimizer": torch.optim.AdamW},
}


def has_skorch():
    """Whether there is a peer; says so where there is none."""
    if NeuralNetClassifier is None:
        print('skorch is missing, its rows too: pip install "skanticipate[bench]"\n')
    return NeuralNetClassifier is not None


def skorch_classifier(
    module, training, *, fused=None, criterion=nn.CrossEntropyLoss, **parameters
):
    """Estimator of skorch for a module.

    Parameters
    ----------
    module : callable
        Makes the module, of the parameters ``module__...``.
    training : dict
        Ours: `optimizer`, `lr`, `weight_decay`, `batch_size`, `max_epochs`.
    fused : bool, default=None
        Whether the optimiser uses torch's fused kernels, which takes a fifth off a
        small step; None is torch's default, which does not.
    criterion : type
        Class of the loss.
    **parameters : object
        Of the module.
    """
    return NeuralNetClassifier(
        module,
        criterion=criterion,
        **OPTIMIZERS[training["optimizer"]],
        optimizer__fused=fused,
        lr=training["lr"],
        optimizer__weight_decay=training["weight_decay"],
        max_epochs=training["max_epochs"],
        batch_size=training["batch_size"],
        iterator_train__shuffle=True,
        iterator_valid__batch_size=1024,
        train_split=None,
        callbacks="disable",
        verbose=0,
        device="cpu",
        **parameters,
    )


def perceptron_module(sizes):
    """Perceptron of one hidden layer as everybody writes it."""
    d, hidden, n_classes = sizes
    return nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, n_classes))


class RecurrentModule(nn.Module):
    """Recurrent layer and a classifier of its last state, as everybody writes them."""

    def __init__(self, sizes, cell):
        super().__init__()
        d, hidden, n_classes = sizes
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.rolling = kind(d, hidden, batch_first=True)
        self.classifier = nn.Linear(hidden, n_classes)

    def forward(self, clips):
        """Clips (B, T, d) -> logits (B, C)."""
        return self.classifier(self.rolling(clips)[0][:, -1])


class SpecModule(nn.Module):
    """The module that a spec of ours builds, as others call it."""

    def __init__(self, spec, input_shape, n_classes):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.network = spec.build(input_shape, n_classes, generator=generator)

    def forward(self, clips):
        """Clips (B, ...) -> logits (B * S, C), and the network's own loss or None."""
        output = self.network(clips)
        losses, counts = output.auxiliary_loss, output.auxiliary_counts
        if losses is not None and losses.ndim:
            losses = losses.mean() if counts is None else losses @ counts / counts.sum()
        return output.logits.flatten(0, 1), losses


class SpecLoss(nn.Module):
    """Cross-entropy over all stages, and the network's own loss."""

    def forward(self, answer, y):
        """Answer of a `SpecModule`, labels (B,) -> ()."""
        logits, auxiliary = answer
        if len(logits) > len(y):
            y = y.repeat_interleave(len(logits) // len(y))
        loss = cross_entropy(logits, y)
        return loss if auxiliary is None else loss + auxiliary
