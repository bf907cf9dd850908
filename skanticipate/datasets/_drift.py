"""Synthetic feature maps whose content moves between the past and the future clip."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skanticipate._typing import Seed
from skanticipate.data.numbers import Interval
from skanticipate.data.parameters import validate_params

_SIDE, _FEATURES = 5, 24
_CLASSES, _BACKGROUNDS, _NUISANCE_RANK = 6, 12, 6
_NUISANCE_STRENGTH, _NOISE = 2.0, 0.3

_DESCR = """\
Drifting maps

Made by skanticipate.datasets.make_drifting_maps from random numbers; no real video
has been used. A clip is a map of 5 x 5 positions on a torus. A few of them, the
content, carry the code of the class; the others carry codes of a background that says
nothing about it. In the past a nuisance covers the content, in the future it does not,
and by then the content has moved. Past and future show the same class codes.

Made to show how feature distillation works, not that it is needed:

- Soft targets alone, or matching mean-pooled maps, do about as well here as the weakly
  aligned loss. That is better than pooling only with a single content position.
- The nuisance touches content positions only.
- From a random start of the student the weakly aligned loss is far behind; when past
  and future codes of a class are unrelated, it fails.
- Results on it say nothing about real video.
"""


@validate_params(
    {
        "drift": [Interval(Integral, 0, 1_000_000, closed="both")],
        "n_labeled_per_class": [Interval(Integral, 1, 1_000_000, closed="both")],
        "n_unlabeled": [Interval(Integral, 0, 1_000_000, closed="both")],
        "n_test": [Interval(Integral, 0, 1_000_000, closed="both")],
        "n_content": [Interval(Integral, 1, _SIDE**2, closed="both")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_drifting_maps(
    drift: int = 2,
    *,
    n_labeled_per_class: int = 3,
    n_unlabeled: int = 2000,
    n_test: int = 1000,
    n_content: int = 3,
    random_state: Seed | None = None,
) -> Bunch:
    """Make **synthetic** pairs of feature maps whose content moves in between.

    The task shows what aligning feature maps position by position can do and what
    weak alignment can: with `drift=0` the content of past and future stands at the
    same positions, with `drift=2` it may stand anywhere.

    Each of 5 x 5 positions holds 24 features. `n_content` of them, drawn for each
    pair, hold the code of its class, one of 6; every other position holds one of 12
    background codes, drawn for each position and anew for the future. To all content
    of a past clip one and the same nuisance is added, twice as long as a code in root
    mean square and drawn from a fixed subspace of 6 dimensions. To everything, noise
    is added.

    Parameters
    ----------
    drift : int, default=2
        Between past and future, all content positions of a pair move together by as
        many rows and columns as are drawn, each from -drift to drift. What leaves
        the map on one side enters it on the other.
    n_labeled_per_class : int, default=3
        Number of labelled pairs of each of the 6 classes.
    n_unlabeled : int, default=2000
        Number of pairs whose label is hidden.
    n_test : int, default=1000
        Number of test clips.
    n_content : int, default=3
        Number of content positions of a clip, at most 25.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data in every call. The codes are drawn anew for
        each state: the test clips go with the training pairs of the same call.

    Returns
    -------
    data : Bunch
        X_past : ndarray of float32 of shape (n, 5, 5, 24)
            The maps from which to anticipate, n = 6 * n_labeled_per_class +
            n_unlabeled; the labelled ones come first.
        X_future : ndarray of float32 of the same shape
            The maps to be anticipated: a fit takes them as `X_future_unlabeled`.
        y : ndarray of int of shape (n,)
            Classes 0 to 5, and -1 where the label is hidden.
        X_test : ndarray of float32 of shape (n_test, 5, 5, 24)
            Past maps.
        y_test : ndarray of int of shape (n_test,)
            Their classes.
        class_codes : ndarray of shape (6, 24)
            Codes of the classes. As long as those of the background: sqrt(24).
        background_codes : ndarray of shape (12, 24)
            Codes of the background.
        nuisance_directions : ndarray of shape (6, 24)
            An orthonormal basis of the subspace of the nuisance.
        DESCR : str
            Says that the data are synthetic, and the limits of what they show.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from skanticipate.datasets import make_drifting_maps
    >>> data = make_drifting_maps(n_unlabeled=40, n_test=10, random_state=0)
    >>> data.X_past.shape, data.X_future.shape, data.X_test.shape
    ((58, 5, 5, 24), (58, 5, 5, 24), (10, 5, 5, 24))
    >>> data.y[:18]
    array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5])
    """
    rng = check_random_state(random_state)
    world = Bunch(
        class_codes=_codes(_CLASSES, rng),
        background_codes=_codes(_BACKGROUNDS, rng),
        nuisance_directions=_orthonormal_rows(_NUISANCE_RANK, rng),
    )
    y = np.repeat(np.arange(_CLASSES), n_labeled_per_class)
    classes = np.concatenate([y, rng.randint(_CLASSES, size=n_unlabeled)])
    y_test = rng.randint(_CLASSES, size=n_test)
    X_past, X_future = _pairs(classes, world, drift, n_content, rng)
    X_test, _ = _pairs(y_test, world, drift, n_content, rng)
    return Bunch(
        X_past=X_past,
        X_future=X_future,
        y=np.concatenate([y, np.full(n_unlabeled, -1)]),
        X_test=X_test,
        y_test=y_test,
        **world,
        DESCR=_DESCR,
    )


def _codes(n_codes, rng):
    """Random directions, each as long as features of unit variance on average."""
    codes = rng.normal(size=(n_codes, _FEATURES))
    return codes * np.sqrt(_FEATURES) / np.linalg.norm(codes, axis=1, keepdims=True)


def _orthonormal_rows(n_rows, rng):
    return np.linalg.qr(rng.normal(size=(_FEATURES, n_rows)))[0].T


def _pairs(classes, world, drift, n_content, rng):
    """Past and future maps of pairs of the given classes.   (n, 5, 5, d) twice."""
    n = len(classes)
    content = world.class_codes[classes][:, None]  # (n, 1, d)
    # sqrt(d / rank) gives the sum of `rank` directions the length of a code.
    scale = _NUISANCE_STRENGTH * np.sqrt(_FEATURES / _NUISANCE_RANK)
    nuisance = scale * rng.normal(size=(n, _NUISANCE_RANK)) @ world.nuisance_directions

    cells = rng.uniform(size=(n, _SIDE**2)).argsort(axis=1)[:, :n_content]
    cells = np.stack(np.divmod(cells, _SIDE))  # (2, n, n_content): row, column
    moved = (cells + rng.randint(-drift, drift + 1, size=(2, n, 1))) % _SIDE

    past = _maps(content + nuisance[:, None], cells, world, rng)
    return past, _maps(content, moved, world, rng)


def _maps(content, cells, world, rng):
    """Background with content at the given cells, and noise.   -> (n, 5, 5, d)."""
    n = len(content)
    drawn = rng.randint(_BACKGROUNDS, size=(n, _SIDE, _SIDE))
    maps = world.background_codes[drawn]
    maps[np.arange(n)[:, None], *cells] = content
    maps += rng.normal(scale=_NOISE, size=maps.shape)
    return maps.astype(np.float32)
