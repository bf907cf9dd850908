"""Whether what a teacher may see goes together with what its student sees."""

import warnings

import numpy as np

_TO_USER = 8  # frames from here to the caller of fit, below its decorators
_LOOKED_AT = 1 << 24  # bytes of clips by which scales are compared


def compare_with_past(past, futures, seen, *, own_network):
    """Refuse futures that the student's own network cannot read; warn of scales.

    Parameters
    ----------
    past, futures : RowView of shape (n, ..., d)
        Checked clips.
    seen : ndarray of shape (n,) of bool
        Rows that have a future.
    own_network : bool
        Whether the teacher has the network of the student.
    """
    alike = futures.ndim == past.ndim and futures.shape[-1] == past.shape[-1]
    if own_network and not alike:
        raise ValueError(
            f"X_future_unlabeled has shape {futures.shape} but X_past has "
            f"{past.shape}: with teacher=None the teacher has the student's own "
            "network, so both need as many axes and features. Pass a teacher of its "
            "own for other features, such as RecognitionTeacher()."
        )
    scaled = "f" in (past.dtype.kind, futures.dtype.kind)  # codes are not
    if alike and scaled and seen.any():
        rows = np.flatnonzero(seen)
        _compare_scales(_some(past, rows), _some(futures, rows))


def _some(clips, rows):
    """The first of the rows, as many as need little memory."""
    row_bytes = clips.dtype.itemsize * int(np.prod(clips.shape[1:]))
    return clips.take(rows[: max(1, _LOOKED_AT // row_bytes)])


def _compare_scales(past, futures):
    """Warn if the two cannot have gone through the same scaler."""
    past, futures = _real_steps(past), _real_steps(futures)
    if not len(past):
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, std = past.mean(axis=0), past.std(axis=0)
        other_mean, other_std = futures.mean(axis=0), futures.std(axis=0)
        spread = np.maximum(std, other_std)
        ratio = np.nan_to_num(np.minimum(std, other_std) / spread, nan=1.0)
        shift = np.nan_to_num(np.abs(mean - other_mean) / spread)
    if np.median(ratio) < 0.1 or np.median(shift) > 10:
        warnings.warn(
            "X_past and X_future_unlabeled are on different scales: over the features, "
            f"median standard deviation {np.median(std):.3g} and "
            f"{np.median(other_std):.3g}, median mean {np.median(mean):.3g} and "
            f"{np.median(other_mean):.3g}. A scaler in a Pipeline transforms the "
            "futures only with metadata routing enabled and "
            "transform_input=['X_future_unlabeled'].",
            UserWarning,
            stacklevel=_TO_USER + 1,
        )


def _real_steps(clips):
    """Feature vectors that are no padding.   (n, ..., d) -> (m, d) float64."""
    flat = clips.reshape(-1, clips.shape[-1]).astype(np.float64)
    return flat[~np.isnan(flat[:, 0])]


def warn_of_signed_labels(classes, marker):
    """Warn if -1 is read as a class although there are futures."""
    if marker is None and set(classes.tolist()) == {-1, 1}:
        warnings.warn(
            "y holds -1 and 1 only, which are read as two classes: pass "
            "unlabeled_label=-1 if -1 marks unlabelled rows.",
            UserWarning,
            stacklevel=_TO_USER,
        )


def warn_if_nobody_is_asked(**wanted):
    """Warn of parameters that want a teacher where there is nothing to ask it about."""
    if names := [name for name, is_set in wanted.items() if is_set]:
        warnings.warn(
            f"{' and '.join(names)} is set, but there is neither a row with a future "
            "in X_future_unlabeled nor teacher_proba: no teacher is asked.",
            UserWarning,
            stacklevel=_TO_USER,
        )


def warn_of_random_start():
    """Warn of a feature loss between maps that have nothing to do with each other."""
    warnings.warn(
        "feature_weight is positive, but the student starts at random: its map lives "
        "in another space than its teacher's, and feature losses hurt. Use the same "
        "network for both and init_from_teacher.",
        UserWarning,
        stacklevel=_TO_USER + 2,
    )
