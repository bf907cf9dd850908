"""A synthetic kitchen: videos of a stochastic grammar, and features of their clips."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skanticipate._typing import Seed
from skanticipate.data.numbers import STEPS, Interval
from skanticipate.data.parameters import validate_params
from skanticipate.datasets._segments import label_history

_FPS = 30
_MANY = Interval(Integral, 1, 100_000, closed="both")  # of videos, and actions of each
_SOME = Interval(Integral, 1, 10_000, closed="both")  # of steps, and features of each
_VERBS = ("take", "wash", "peel", "cut", "mix", "put")
# What is done with a thing, in the usual order: 20 actions.
_STEPS = {
    "tomato": ("wash", "cut"),
    "carrot": ("wash", "peel", "cut"),
    "onion": ("peel", "cut"),
    "potato": ("peel", "cut", "mix"),
    "knife": ("take", "put"),
    "pan": ("take", "wash", "put"),
    "bowl": ("take", "mix", "put"),
    "plate": ("take", "put"),
}
_NOUNS = tuple(_STEPS)
_ACTIONS = [(verb, noun) for noun, steps in _STEPS.items() for verb in steps]
_RECIPES = {
    "salad": ("tomato", "carrot", "bowl", "knife"),
    "soup": ("carrot", "potato", "onion", "pan"),
    "stew": ("onion", "tomato", "pan", "plate"),
    "mash": ("potato", "bowl", "knife", "plate"),
}
# Probabilities: go on with the thing at hand; leave out a step; be interrupted by any
# action; turn to the next thing of the recipe rather than to any thing.
_GO_ON, _LEFT_OUT, _INTERRUPTED, _NEXT_NOUN = 0.9, 0.1, 0.08, 0.9

# Lengths of the parts of a clip's features, relative to the noise of one step.
_ACTION, _HINT, _RECIPE, _NUISANCE = 0.8, 0.75, 0.4, 0.6
_STEP_SECONDS, _POOLED_STEPS = 0.5, 4

_DESCR = """\
A synthetic kitchen

Made by skanticipate.datasets.make_kitchen from random numbers; no real video has
been used, and results on it say nothing about real ones. Each video cooks one of
four recipes: what is done to a thing follows a usual order, the recipe decides
which things are turned to, and now and then something else comes in between. The
features of a clip hold codes of the verb and of the noun that go on, a code of the
recipe, a hint of the action to come, an offset of the video and noise.
"""


@validate_params(
    {
        "n_videos": [_MANY],
        "n_actions_per_video": [_MANY],
        "n_steps": [_SOME, None],
        "n_features": [_SOME],
        "history": [STEPS],
        "unlabeled_fraction": [Interval(Real, 0, 1, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_kitchen(
    n_videos: int = 40,
    n_actions_per_video: int = 15,
    *,
    n_steps: int | None = None,
    n_features: int = 24,
    history: int = 5,
    unlabeled_fraction: float = 0.0,
    noise: float = 1.0,
    random_state: Seed | None = None,
) -> Bunch:
    """Make a small **synthetic** data set for action anticipation.

    Videos are drawn from a stochastic grammar of 20 actions ("wash tomato", "cut
    tomato", ...), features from random codes. What comes next can partly be told
    from the past clip, partly from the past actions, and better from the future
    clip; none of them tells everything. Nothing in it stems from real video.

    Parameters
    ----------
    n_videos : int, default=40
        Number of videos.
    n_actions_per_video : int, default=15
        Number of action segments of each video. The data set has one row for each
        segment, n = n_videos * n_actions_per_video.
    n_steps : int or None, default=None
        None for clips pooled over time, else the number of steps of 0.5 s of each
        clip. Past clips end 1 s before the target starts and are never NaN: before
        the video there is a kitchen in which nobody acts.
    n_features : int, default=24
        Number of features, d.
    history : int, default=5
        Number of past actions of each row.
    unlabeled_fraction : float in [0, 1), default=0.0
        Share of the rows, drawn at random, whose label is hidden: y is -1. Only y is
        hidden; `past_actions`, `y_past` and `segments` keep the truth.
    noise : float, default=1.0
        Standard deviation of the noise of one feature at one step.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data in every call. The codes of verbs, nouns and
        recipes are drawn anew for each state: split one data set to get a test set.

    Returns
    -------
    data : Bunch
        X_past : ndarray of shape (n, d) or (n, n_steps, d)
            Features of the clip that ends 1 s before the target starts.
        X_future : ndarray of the same shape
            Features of the target's own clip, in the same space: a fit takes them
            as `X_future_unlabeled`.
        y : ndarray of int of shape (n,)
            Label of the target, -1 where it is hidden.
        y_past : ndarray of int of shape (n,)
            The last past action, -1 where there is none.
        past_actions : ndarray of int of shape (n, history)
            `label_history(segments, history=history)`: labels of the segments that
            had ended 1 s before the target started, padded with -1 on the left.
        actions : dict
            label -> (verb, noun), names.
        groups : ndarray of int of shape (n,)
            Index of the video, for splitters such as GroupKFold.
        segments : Bunch
            Table with `id`, `video`, `start_frame`, `stop_frame` (30 frames per
            second), `verb`, `noun` (ids) and `action`, never hidden.
        DESCR : str
            Says that the data are synthetic, and how they come about.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from skanticipate.datasets import make_kitchen
    >>> data = make_kitchen(n_videos=3, n_actions_per_video=4, random_state=0)
    >>> data.X_past.shape, data.X_future.shape
    ((12, 24), (12, 24))
    >>> data.actions[0]
    ('wash', 'tomato')
    >>> data.past_actions.shape
    (12, 5)
    """
    rng = check_random_state(random_state)
    recipes = rng.randint(len(_RECIPES), size=n_videos)
    labels = np.concatenate(
        [_cook(list(_RECIPES.values())[r], n_actions_per_video, rng) for r in recipes]
    )
    groups = np.repeat(np.arange(n_videos), n_actions_per_video)
    segments = _segments_table(labels, groups, n_actions_per_video, rng)
    past_actions = label_history(segments, history=history, fps=_FPS)
    X_past, X_future = _clips(
        segments, groups, recipes, n_steps or _POOLED_STEPS, n_features, noise, rng
    )
    if n_steps is None:
        X_past, X_future = X_past.mean(axis=1), X_future.mean(axis=1)
    y = labels.copy()
    n_hidden = round(unlabeled_fraction * len(y))
    y[rng.permutation(len(y))[:n_hidden]] = -1
    return Bunch(
        X_past=X_past,
        X_future=X_future,
        y=y,
        y_past=past_actions[:, -1],
        past_actions=past_actions,
        actions=dict(enumerate(_ACTIONS)),
        groups=groups,
        segments=segments,
        DESCR=_DESCR,
    )


def _cook(recipe, n_actions, rng):
    """Labels of the actions of one video, in order.   (n_actions,)."""
    labels = []
    noun, step = recipe[rng.randint(len(recipe))], 0
    while len(labels) < n_actions:
        if rng.uniform() < _INTERRUPTED:
            labels.append(rng.randint(len(_ACTIONS)))
            continue
        labels.append(_ACTIONS.index((_STEPS[noun][step], noun)))
        step += 2 if rng.uniform() < _LEFT_OUT else 1
        if step >= len(_STEPS[noun]) or rng.uniform() >= _GO_ON:
            noun, step = _following_noun(noun, recipe, rng), 0
    return np.array(labels)


def _following_noun(noun, recipe, rng):
    if noun in recipe and rng.uniform() < _NEXT_NOUN:
        return recipe[(recipe.index(noun) + 1) % len(recipe)]
    nouns = recipe if noun not in recipe else _NOUNS
    return nouns[rng.randint(len(nouns))]


def _segments_table(labels, groups, n_actions_per_video, rng):
    """Give every action a time: 1.5 to 4 s, after a pause of 0 to 3 s."""
    pauses = rng.randint(0, 3 * _FPS, size=len(labels))
    lengths = rng.randint(3 * _FPS // 2, 4 * _FPS, size=len(labels))
    ends = (pauses + lengths).reshape(-1, n_actions_per_video).cumsum(axis=1).ravel()
    verbs, nouns = np.array(_ACTIONS)[labels].T
    return Bunch(
        id=np.arange(len(labels)),
        video=np.array([f"V{group:03d}" for group in groups]),
        start_frame=ends - lengths,
        stop_frame=ends,
        verb=np.array([_VERBS.index(verb) for verb in verbs]),
        noun=np.array([_NOUNS.index(noun) for noun in nouns]),
        action=labels,
    )


def _clips(segments, groups, recipes, n_steps, n_features, noise, rng):
    """Features of the past and of the future clip of each segment.   (n, T, d)."""
    codes = rng.normal(size=(len(_VERBS) + len(_NOUNS) + len(_RECIPES), n_features))
    verb_codes, noun_codes, recipe_codes = np.split(
        codes, np.cumsum([len(_VERBS), len(_NOUNS)])
    )
    # The last row stands for a moment at which nobody acts.
    shown = (verb_codes[segments.verb] + noun_codes[segments.noun]) / np.sqrt(2)
    shown = np.vstack([_ACTION * shown, np.zeros(n_features)])
    scenes = _RECIPE * recipe_codes[recipes] + _NUISANCE * rng.normal(
        size=(len(recipes), n_features)
    )
    start = segments.start_frame[:, None]
    length = segments.stop_frame[:, None] - start
    steps = np.arange(1, n_steps + 1)
    past_frames = start - _FPS * (1 + _STEP_SECONDS * (n_steps - steps))
    future_frames = start + length * (steps - 0.5) / n_steps
    # Near its end the past clip shows what is prepared.
    hint = _HINT * (steps / n_steps)[:, None] * shown[:-1, None]
    past = shown[_rows_at(past_frames, segments, groups)] + hint
    future = shown[_rows_at(future_frames, segments, groups)]
    return tuple(
        clip + scenes[groups][:, None] + rng.normal(scale=abs(noise), size=clip.shape)
        for clip in (past, future)
    )


def _rows_at(frames, segments, groups):
    """Row of the segment of the same video that goes on at a frame, -1 if none."""
    # Videos one after the other on one time axis, so that one search serves all.
    offset = groups * segments.stop_frame.max()
    starts = segments.start_frame + offset
    row = np.searchsorted(starts, frames + offset[:, None], side="right") - 1
    going_on = (groups[row] == groups[:, None]) & (frames < segments.stop_frame[row])
    return np.where(going_on & (row >= 0), row, -1)
