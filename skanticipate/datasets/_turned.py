"""Whether features of frames look as if frames and features had been exchanged."""

import numpy as np

from skanticipate.data.layout import ALIKE, WIDE, likeness
from skanticipate.data.warn import warn

_MOST = 2000  # frames that are looked at


def hint_turned(features):
    """Warn of frames whose features are alike, as frames are, where these are not.

    Only the first video is looked at.

    Parameters
    ----------
    features : FeatureTable

    Returns
    -------
    features : FeatureTable
        The same.
    """
    video = str(features.videos[0])
    warn_if_turned(video, features[video], "pass the other time_axis")
    return features


def warn_if_turned(video, frames, remedy):
    """Warn if frames (n_frames, ..., d) seem to have been exchanged with features.

    Features change little from frame to frame, and are in no order of their own.
    """
    n_frames, *places, d = frames.shape
    if places:
        return
    frames = np.asarray(frames[:_MOST], dtype=np.float64)
    frames = frames[~np.isnan(frames[:, 0])]  # not those that stand for padding
    if min(frames.shape) < WIDE:
        return
    over_time, over_features = (
        likeness(_standard(frames, axis), axis) for axis in (0, 1)
    )
    if over_features >= ALIKE and over_time < over_features / 4:
        warn(
            f"Features of {video!r} are read as {n_frames} frames of {d} features, of "
            f"which neighbours are alike, unlike neighbouring frames: {remedy} if the "
            f"{d} are the frames."
        )


def _standard(frames, axis):
    """Numbers of mean 0 and deviation 1 along an axis, 0 where they are constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = frames - frames.mean(axis, keepdims=True)
        return np.nan_to_num(
            scaled / frames.std(axis, keepdims=True), posinf=0, neginf=0
        )
