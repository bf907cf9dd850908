"""Networks that guess what a teacher makes of the future, and act on the guess."""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import RidgeCV
from torch import nn

from common.arms import Arm, student
from common.tasks import NETWORKS
from common.teaching import moments
from skanticipate import NetworkSpec, Output
from skanticipate.networks.bare import skip_init
from skanticipate.networks.base import Dropout, initialize
from skanticipate.networks.inputs import mean_over_steps


class Guesser(NetworkSpec):
    """A network whose classifier also reads a guess of the teacher's pooled future.

    Beside the scores of `network` stand those of a linear layer over the guess, which
    two layers make of the pooled features of the past. The guess is the feature map of
    one position, so that `feature_weight` with `alignment="pooled"` compares it with
    the future as the teacher sees it.

    Parameters
    ----------
    network : NetworkSpec
        That reads the past.
    width : int
        Channels of the teacher's map.
    hidden_size : int, default=64
        Between the features of the past and the guess.
    dropout : float, default=0.0
        Share of that layer, and of the guess as the classifier reads it, that is
        dropped in training.
    through : bool, default=True
        Whether the guess also learns from the classifier.
    """

    uses_global_rng = False
    stacks = True

    def __init__(self, network, width, hidden_size=64, dropout=0.0, through=True):
        self.network = network
        self.width = width
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.through = through

    def build(self, input_shape, n_classes, *, generator):
        """Build the network; see `NetworkSpec.build`."""
        inner = self.network.build(input_shape, n_classes, generator=generator)
        added = initialize(_Added(self, n_classes), generator)
        return _Guesser(inner, added, pooling_of(self.network), self.through)


class _Added(nn.Module):
    """What a guess needs: the layers that make it, and those that read it."""

    def __init__(self, spec, n_classes):
        super().__init__()
        n_inputs = np.max(spec.network.hidden_size)
        self.hidden = skip_init(nn.Linear, int(n_inputs), spec.hidden_size)
        self.guess = skip_init(nn.Linear, spec.hidden_size, spec.width)
        self.reader = skip_init(nn.Linear, spec.width, n_classes, bias=False)
        self.dropout = Dropout(spec.dropout)


class _Guesser(nn.Module):
    def __init__(self, network, added, pool, through):
        super().__init__()
        self.network, self.added = network, added
        self.pool, self.through = pool, through

    def forward(self, clips):
        added, read = self.added, self.network(clips)
        pooled = self.pool(read.features, read.mask)  # (B, H)
        guess = added.guess(added.dropout(added.hidden(pooled).relu()))  # (B, w)
        seen = added.dropout(guess if self.through else guess.detach())
        logits = read.logits + added.reader(seen).unsqueeze(1)  # (B, 1, C)
        return Output(logits, guess.unsqueeze(1))

    def extra_repr(self):
        """Tell apart what is not to be trained as one."""
        return f"through={self.through}"


def pooling_of(network):
    """What the classifier of a network reads of its map (B, N, d).   -> (B, d)."""
    return _POOLINGS[type(network).__name__][0]


def _last(features, mask):
    return features[:, -1]  # padding holds the state before it


def _largest(features, mask):
    return features.amax(1)  # of what is not negative; padding is zero


def _last_real(maps):
    """(n, N, d) -> (n, d); positions of NaN are padding."""
    places = np.arange(1, maps.shape[1] + 1) * ~np.isnan(maps[..., 0])
    return maps[np.arange(len(maps)), places.argmax(axis=1)]


def _mean_real(maps):
    return np.nanmean(maps, axis=1)


def _largest_real(maps):
    return np.nanmax(maps, axis=1)


_POOLINGS = {  # of maps of tensors with a mask, and of arrays with NaN
    "LSTM": (_last, _last_real),
    "FrameMLP": (mean_over_steps, _mean_real),
    "FeatureMapNet": (_largest, _largest_real),
}


class Pooled(ClassifierMixin, BaseEstimator):
    """A teacher whose map of a clip is one vector: what its classifier reads.

    Every channel has mean 0 and deviation 1 over the clips that it is given.

    Parameters
    ----------
    model : SmoothedAnticipator
        Fitted on futures.
    clips : ndarray of shape (n, ...)
        Futures.
    """

    def __init__(self, model, clips):
        self.model, self.clips = model, clips
        self.classes_ = model.classes_
        found = self._read(clips)
        self.mean_, deviation = found.mean(axis=0), found.std(axis=0)
        self.deviation_ = np.where(deviation > 1e-6, deviation, 1.0)

    @property
    def width(self):
        """Channels of the map."""
        return len(self.mean_)

    def predict_proba(self, X):
        """Of the model."""
        return self.model.predict_proba(X)

    def feature_map(self, X):
        """(n, ...) -> (n, 1, d)."""
        return ((self._read(X) - self.mean_) / self.deviation_)[:, None]

    def classify(self, vectors):
        """Answers of the model's classifier about vectors of the map.   -> (n, C)."""
        layer = self.model.network_.classifier
        weight, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
        read = vectors * self.deviation_ + self.mean_
        return softmax(read @ weight.T + bias, axis=1)

    def _read(self, X):
        return _POOLINGS[type(self.model.network).__name__][1](
            self.model.feature_map(X)
        )


# -------------------------------------------------------------------------- students


class Guess(NamedTuple):
    """How a guess is learnt."""

    weight: float  # of its distance from the future
    through: bool  # whether it learns from the classifier too


def guessers(guess, setting, lessons, seeds, lent):
    """Unfitted students that guess, one for each lesson; taught by soft targets too.

    `lent` are the frozen teachers (`Pooled`) of the lessons.
    """
    arm = Arm("future", True, False, "pooled", guess.weight)
    models = []
    for one, seed, teacher in zip(lessons, seeds, lent, strict=True):
        spec = Guesser(
            NETWORKS[setting.network](setting.dropout),
            teacher.estimator.width,
            dropout=setting.dropout,
            through=guess.through,
        )
        own = teacher if guess.weight else None
        models.append(
            student(
                arm, setting, spec, one.classes, seed, teacher=own, scarce=one.scarce
            )
        )
    return models


def read_instead(model, past, guess, instead):
    """Answers of a student whose classifier reads other vectors than its guess.

    Its scores are a sum, so they are moved by what the reader makes of the difference.

    past (n, ...), guess and instead (n, d) -> (n, C)
    """
    reader = model.network_.added.reader.weight.detach().numpy()
    scores = np.log(np.maximum(model.predict_proba(past), 1e-30))
    return softmax(scores + (instead - guess) @ reader.T, axis=1)


def linear_guess(one, teacher):
    """Ridge regression of the teacher's map of futures on moments of the past.

    -> (n_held, d)
    """
    past, held = (moments(clips["past"]) for clips in (one.clips, one.held))
    mean, deviation = past.mean(axis=0), past.std(axis=0) + 1e-6
    model = RidgeCV(np.logspace(0, 6, 13))
    model.fit((past - mean) / deviation, teacher.feature_map(one.clips["future"])[:, 0])
    return model.predict((held - mean) / deviation)
