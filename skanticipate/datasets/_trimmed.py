"""Pairs of a past and a future clip out of trimmed clips, with labels or without."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import (
    Bunch,
    check_consistent_length,
    check_random_state,
    column_or_1d,
)
from sklearn.utils.random import sample_without_replacement

from skanticipate._typing import Labels, Seed
from skanticipate.data.missing import as_column
from skanticipate.data.numbers import STEPS, Interval
from skanticipate.data.parameters import validate_params
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.samples import check_groups
from skanticipate.datasets._fraction import steps_of_clips
from skanticipate.preprocessing.padding import pad_clips, padded


@validate_params(
    {
        "clips": ["array-like"],
        "y": ["array-like", None],
        "n_pairs": [Interval(Integral, 1, None, closed="left")],
        "n_steps": [STEPS],
        "gap": [Interval(Integral, 0, None, closed="left")],
        "groups": ["array-like", None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def trimmed_pairs(
    clips: Sequence[ArrayLike] | np.ndarray,
    y: Labels | None = None,
    *,
    n_pairs: int = 1,
    n_steps: int = 8,
    gap: int = 15,
    groups: Labels | None = None,
    random_state: Seed | None = None,
) -> Bunch:
    """Draw pairs of a past and a future clip out of trimmed clips, for a teacher.

    What :func:`unlabeled_pairs` and :func:`cut_pairs` do for videos in which actions
    were annotated. A clip that shows one action from its first step to its last gives
    `n_pairs` rows: some steps of it, and some later ones. Of clips without label it is
    the futures that teach.

    Parameters
    ----------
    clips : ndarray of shape (n, T, d) or (n, T, ..., d), or list of n arrays (T_i, ...)
        Features of the steps of each clip, the latest step last. Steps of NaN at the
        start are padding, as :func:`skanticipate.pad_clips` adds it, and at the end,
        and do not count.
    y : array-like of shape (n,), default=None
        The label of each clip, -1 where there is none. None means that none has one.
    n_pairs : int, default=1
        Pairs of each clip, at different steps. A clip with room for fewer gives fewer.
    n_steps : int, default=8
        Steps of each of the two clips.
    gap : int, default=15
        Steps from the end of the past clip to the start of the future clip. In a clip
        that is too short for all of them it is as long as there is room for; in one of
        less than 2 `n_steps` steps past and future overlap, the first and the last
        `n_steps` steps of it.
    groups : array-like of shape (n,), default=None
        Video or person of each clip. None makes a group of each clip.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same pairs in every call.

    Returns
    -------
    data : Bunch
        As :func:`cut_pairs` returns it, by clip and time:

        X_past : ndarray of shape (m, n_steps, d) or (m, n_steps, ..., d)
            Clips of less than `n_steps` steps are padded on the left with NaN.
        X_future : ndarray of the same shape
            A fit takes it as `X_future_unlabeled`.
        y : ndarray of shape (m,)
            The label of the clip, as in `y`; -1 where `y` is None.
        groups : ndarray of shape (m,)
            The group of each row: pairs of one clip belong together.

    Raises
    ------
    ValueError
        If lengths differ, a clip has no step, a parameter is out of its range, or as
        :func:`skanticipate.pad_clips` says.

    Warns
    -----
    UserWarning
        If clips look padded with zeros, which count as steps.

    See Also
    --------
    first_fraction : What is seen of each clip, and all of it: to predict, or to fit.
    unlabeled_pairs : Pairs out of videos with annotated segments.

    Notes
    -----
    JHMDB in [1]_: fitted on pairs of clips of 8 frames, 15 frames apart, out of trimmed
    videos of 15 to 40 frames; predicted from the first 20 % of the frames,
    :func:`first_fraction`. How a video of less than 31 frames gives such a pair is not
    said, nor whether the 15 frames lie between the two clips or between their starts:
    the rules above are ours. All starts that there is room for are equally likely.

    References
    ----------
    .. [1] Tran, Wang and Hoai, "Back to the Future: Knowledge Distillation for Human
       Action Anticipation", arXiv 1904.04868.

    Examples
    --------
    Three clips, of which the last has no label:

    >>> import numpy as np
    >>> from skanticipate.datasets import trimmed_pairs
    >>> clips = [np.arange(1.0, n + 1)[:, None] for n in (9, 4, 8)]
    >>> data = trimmed_pairs(
    ...     clips, [5, 7, -1], n_pairs=2, n_steps=2, gap=4, random_state=0
    ... )
    >>> data.X_past[:, :, 0]
    array([[1., 2.],
           [2., 3.],
           [1., 2.],
           [1., 2.]])
    >>> data.X_future[:, :, 0]
    array([[7., 8.],
           [8., 9.],
           [3., 4.],
           [7., 8.]])
    >>> data.y, data.groups
    (array([ 5,  5,  7, -1]), array([0, 0, 1, 2]))
    """
    check_rows_alike(clips=clips, y=y, groups=groups)
    steps = steps_of_clips(pad_clips(clips))
    y = np.full(len(steps), -1) if y is None else _column(y)
    groups = np.arange(len(steps)) if groups is None else _column(check_groups(groups))
    check_consistent_length(steps, y, groups)
    rng = check_random_state(random_state)
    pasts, futures, owner = [], [], []
    for number, clip in enumerate(steps):
        room = len(clip) - 2 * n_steps - gap + 1  # number of places of a whole pair
        n_drawn = min(n_pairs, max(room, 1))
        starts = sample_without_replacement(max(room, 1), n_drawn, random_state=rng)
        for start in np.sort(starts).tolist():
            # the last steps, where the clip ends before the gap does
            future = min(start + n_steps + gap, max(len(clip) - n_steps, 0))
            pasts.append(clip[start : start + n_steps])
            futures.append(clip[future : future + n_steps])
            owner.append(number)
    return Bunch(
        X_past=padded(pasts, n_steps),
        X_future=padded(futures, n_steps),
        y=y[owner],
        groups=groups[owner],
    )


def _column(values):
    """Labels or groups as an array, of integers if all of them are.   -> (n,)."""
    column = column_or_1d(as_column(values))
    whole = column.dtype == object and all(isinstance(v, Integral) for v in column)
    return column.astype(np.int64) if whole else column
