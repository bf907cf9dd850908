"""Early recognition: the first part of trimmed clips, and all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skanticipate.data.layout import hint_channels_first
from skanticipate.data.numbers import Interval
from skanticipate.data.padded import hint_padding
from skanticipate.data.parameters import validate_params
from skanticipate.data.rows import RowView
from skanticipate.preprocessing.padding import pad_clips, padded


class EarlyClips(NamedTuple):
    """What is seen of each clip, and all of it."""

    X_past: np.ndarray
    X_future: np.ndarray


@validate_params(
    {
        "clips": ["array-like"],
        "fraction": [Interval(Real, 0, 1, closed="right")],
    },
    prefer_skip_nested_validation=True,
)
def first_fraction(
    clips: Sequence[ArrayLike] | np.ndarray, fraction: float = 0.2
) -> EarlyClips:
    """Cut trimmed clips into what is seen of them and all of them, for a teacher.

    Clips that show one action from its first frame to its last have no past: to
    anticipate is to name the action early, from the first `fraction` of the clip.
    The teacher sees the whole clip, as `X_future_unlabeled`.

    Parameters
    ----------
    clips : ndarray of shape (n, T, d) or (n, T, ..., d), or list of n arrays (T_i, ...)
        Features of the steps of each clip, the latest step last. Steps of NaN at the
        start are padding, as :func:`skanticipate.pad_clips` adds it, and at the end,
        and do not count.
    fraction : float, default=0.2
        Share of the steps that is seen, above 0 and at most 1.

    Returns
    -------
    clips : EarlyClips
        A pair, with names:

        X_past : ndarray of shape (n, S, d) or (n, S, ..., d)
            The first max(1, ceil(`fraction` T_i)) steps of each clip, S being the
            largest such number; the others are padded on the left with NaN.
        X_future : ndarray of shape (n, T, d) or (n, T, ..., d)
            All steps, padded on the left likewise.

    Raises
    ------
    ValueError
        If a clip has no step, or as :func:`skanticipate.pad_clips` says.

    Warns
    -----
    UserWarning
        If clips look padded with zeros, which count as steps.

    See Also
    --------
    trimmed_pairs : Short clips at two places of each, to fit on.
    cut_pairs : Past and future of clips of untrimmed videos.
    skanticipate.plotting.ObservationRatioDisplay : Accuracy over the fraction.

    Notes
    -----
    The protocol of JHMDB [1]_: fit on the training part of each of the three splits,
    predict from the first 20 % of the frames, and average the three accuracies. Its
    clips have 15 to 40 frames, so 20 % are 3 to 8. How the original fills clips of 8
    frames from them is not said.

    Clips without labels go into the same call, and their label is -1: what a fit needs
    of them is `X_future`.

    References
    ----------
    .. [1] Tran, Wang and Hoai, "Back to the Future: Knowledge Distillation for Human
       Action Anticipation", arXiv 1904.04868.

    Examples
    --------
    >>> import numpy as np
    >>> from skanticipate.datasets import first_fraction
    >>> clips = [np.arange(1.0, 11.0)[:, None], np.arange(1.0, 5.0)[:, None]]
    >>> early = first_fraction(clips, 0.2)  # of 10 steps and of 4
    >>> early.X_past[:, :, 0]
    array([[ 1.,  2.],
           [nan,  1.]])
    >>> early.X_future.shape
    (2, 10, 1)

    Clips with and without labels, and a fit of them, with the clip as its group:

    >>> from skanticipate import DistilledAnticipator
    >>> rng = np.random.default_rng(0)
    >>> labelled = [rng.normal(size=(8, 3)) for _ in range(12)]
    >>> unlabelled = [rng.normal(size=(10, 3)) for _ in range(20)]
    >>> early = first_fraction(labelled + unlabelled, 0.2)
    >>> y = np.concatenate([np.arange(12) % 3, np.full(20, -1)])
    >>> model = DistilledAnticipator(max_epochs=2, random_state=0)
    >>> model.fit(early.X_past, y, early.X_future, groups=np.arange(32)).n_unlabeled_
    20
    """
    whole = pad_clips(clips)  # (n, T, ..., d)
    clips, parts = steps_of_clips(whole), []
    for steps in clips:
        # Rounded, or 7 % of 100 would be 7.000000000000001 steps, and 8.
        seen = max(1, math.ceil(round(fraction * len(steps), 6)))
        parts.append(steps[:seen])
    return EarlyClips(padded(parts), padded(clips, whole.shape[1]))


def steps_of_clips(whole):
    """The steps of each clip that are no padding.   (n, T, ..., d) -> n (T_i, ..., d).

    Raises
    ------
    ValueError
        If a clip has none.

    Warns
    -----
    UserWarning
        If clips look padded with zeros, which count as steps, or channels seem to stand
        before the steps.
    """
    hint_padding(RowView(whole))
    hint_channels_first(RowView(whole))
    padded = np.isnan(whole).all(axis=tuple(range(2, whole.ndim)))  # (n, T)
    empty = np.flatnonzero(padded.all(axis=1))
    if empty.size:
        raise ValueError(
            f"clip {empty[0]} has no step ({empty.size} such clips): drop them."
        )
    first = np.argmin(padded, axis=1)
    stop = whole.shape[1] - np.argmin(padded[:, ::-1], axis=1)
    return [clip[i:k] for clip, i, k in zip(whole, first, stop, strict=True)]
