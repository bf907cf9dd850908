"""Hints at clips that look laid out in another way than they are read.

Some of the rows are looked at, so that it costs the same however many there are.
"""

import math

import numpy as np

from skanticipate.data.warn import warn

_N_ROWS = 200
N_LEAST = 20  # rows by which anything can be told
_N_BYTES = 1 << 22
_COMPARED = 1 << 24  # bytes of clips by which scales are compared
_FEWEST = 8  # feature vectors
WIDE = 16  # steps or features, by which it can be told which of them they are
ALIKE = 0.5  # correlation of neighbours
_SHARE = 0.05  # of the rows that must look odd before anything is said


def hint_other_scale(past, others, name):
    """Warn of clips that cannot have gone through the same scaler as X_past.

    They may show something else, or features of another network, so that only means
    that are ten deviations away, and deviations of ten times as much, say something.

    Parameters
    ----------
    past, others : RowView of shape (n, ..., d)
        Checked clips; some of them are compared.
    name : str
        What the others are called.
    """
    found = _moments(past, others)
    if found is not None:
        ratio, shift = _differences(*found)
        if np.median(ratio) < 0.1 or np.median(shift) > 10:
            _warn_of_scales(name, *found)


def hint_unscaled_validation(past, others):
    """Warn of X_val that seems not to have gone through the scaler of X_past.

    It shows what X_past shows, so that means one deviation away, and deviations of
    twice as much, say something already. Where rows are few they do not, nor does a
    rare feature that is constant in one of the two.

    Parameters
    ----------
    past, others : RowView of shape (n, ..., d)
        Checked clips; some of them are compared.
    """
    if min(_n_compared(past), _n_compared(others)) < N_LEAST:
        hint_other_scale(past, others, "X_val")
        return
    found = _moments(past, others)
    if found is not None:
        ratio, shift = _differences(*found)
        vary = (found[1] > 0) & (found[3] > 0)
        ratio, shift = np.where(vary, ratio, 1), np.where(vary, shift, 0)
        if np.median(ratio) < 0.5 or np.median(shift) > 1:
            _warn_of_scales("X_val", *found)


def _moments(past, others):
    """Means and deviations (d,) of features of both, None where they say nothing."""
    if _may_be_codes(past) and _may_be_codes(others):  # which have no scale
        return None
    past, others = _frames(past), _frames(others)
    if min(len(past), len(others)) < _FEWEST:  # a deviation of few says nothing
        return None
    with np.errstate(invalid="ignore"):
        return *_moments_of(past), *_moments_of(others)


def _moments_of(frames):
    return frames.mean(axis=0), frames.std(axis=0)


def _differences(mean, std, other_mean, other_std):
    """Ratio of deviations, and distance of means in deviations.   (d,), (d,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.maximum(std, other_std)
        ratio = np.nan_to_num(np.minimum(std, other_std) / spread, nan=1.0)
        return ratio, np.nan_to_num(np.abs(mean - other_mean) / spread)


def _warn_of_scales(name, mean, std, other_mean, other_std):
    warn(
        f"X_past and {name} are on different scales: over the features, median "
        f"standard deviation {np.median(std):.3g} and {np.median(other_std):.3g}, "
        f"median mean {np.median(mean):.3g} and {np.median(other_mean):.3g}. A scaler "
        f"in a Pipeline transforms {name} only with metadata routing enabled and "
        f"transform_input=['{name}']."
    )


def _n_compared(clips):
    return min(clips.shape[0], max(1, _COMPARED // row_bytes(clips)))


def _may_be_codes(rows):
    """Whether these are few whole numbers a step, as codes are.   (n, ..., d)."""
    return rows.dtype.kind != "f" and rows.shape[-1] < WIDE


def may_be_labels(clips):
    """Whether these may be codes, one-hot labels or counts of some.   (b, ..., d).

    They are whole numbers: few of a step, or most of them zero, unlike quantised
    features.
    """
    clips = np.nan_to_num(clips)
    if (clips != np.trunc(clips)).any():
        return False
    width, n_steps = clips.shape[-1], clips.any(axis=-1).sum()
    return width < WIDE or 2 * np.count_nonzero(clips) <= width * n_steps


def row_bytes(rows):
    """Bytes of one clip."""
    return max(1, rows.dtype.itemsize * math.prod(rows.shape[1:]))


def _frames(clips):
    """Feature vectors of clips, from first to last, no padding.   -> (m, d) float64."""
    drawn = np.linspace(0, clips.shape[0] - 1, _n_compared(clips)).astype(np.intp)
    first = clips.take(drawn)
    flat = first.reshape(-1, first.shape[-1]).astype(np.float64)
    return flat[~np.isnan(flat[:, 0])]


def hint_filled_rows(past, others, has, name):
    """Warn of rows that seem missing and filled: zeros, or one row many times.

    Samples that stand there several times have equal pasts too, and where other rows
    repeat nearly as often all stand there for a reason, as the ends of videos do. So
    do zeros where pasts have them as well, as of objects that are seldom seen.

    Parameters
    ----------
    past, others : RowView of shape (n, ...)
        Checked clips; some of them are looked at.
    has : ndarray of shape (n,) of bool
        Rows of the others that are not missing.
    name : str
        What the others are called.

    Returns
    -------
    bool
        Whether it was warned of.
    """
    if _may_be_codes(others) or not has.any():
        return False
    drawn, n = np.flatnonzero(has), _n_looked_at(others)
    if len(drawn) > n:
        drawn = np.sort(np.random.default_rng(0).choice(drawn, n, replace=False))
    told = [(hash(r.tobytes()), r.any()) for rs in _pieces(others, drawn) for r in rs]
    hashes, zero = np.array([h for h, _ in told]), ~np.array([any_ for _, any_ in told])
    trouble = ""
    many = not zero.all() and zero.sum() >= max(2, _SHARE * len(zero))
    if many and _share_of_zeros(past, drawn[~zero]) < zero.mean() / 2:
        trouble = "all zero, and"
    elif _repeats_alone(past, _most_alike(others, drawn, hashes), len(drawn)):
        trouble = (
            "one and the same, though their pasts differ, as if they were missing and "
            "had been filled, by an imputer for instance; they"
        )
    if trouble:
        warn(
            f"Many rows of {name} are {trouble} are read as clips. A row that is "
            "missing is all NaN, and stays so in PerFrame(imputer)."
        )
    return bool(trouble)


def _share_of_zeros(rows, drawn):
    """Share of some rows that are all zero."""
    return np.mean([not row.any() for rs in _pieces(rows, drawn) for row in rs])


def _most_alike(rows, drawn, hashes):
    """Those of some rows that are the commonest one, by far.   (k,)."""
    _, code, count = np.unique(hashes, return_inverse=True, return_counts=True)
    second, most = np.sort(np.append(count, 0))[-2:]
    if 5 * second > most:
        return drawn[:0]
    is_one = code == count.argmax()
    same, others = drawn[is_one], drawn[~is_one]
    some = rows.take(np.concatenate([same[:1], others[:N_LEAST]]))
    is_zero = not np.nan_to_num(some[0]).any()
    return drawn[:0] if is_zero or may_be_labels(some) else same


def _repeats_alone(past, same, n):
    """Whether rows that are the same are many among n, and their pasts are not."""
    if len(same) < max(3, 2 * _SHARE * n):
        return False
    first, *some = past.take(same[:N_LEAST])
    return not all(np.array_equal(first, one, equal_nan=True) for one in some)


def hint_channels_first(rows, *, always_maps=False):
    """Warn of clips whose channels seem to come before other axes.

    Parameters
    ----------
    rows : RowView of shape (n, ..., d)
    always_maps : bool, default=False
        Whether clips must be maps, whatever their shape.
    """
    shape = rows.shape[1:]
    axes = _channels_by_shape(shape, always_maps)
    axis = _unlike(rows, axes) if axes else _channels_by_likeness(rows)
    if axis is None:
        return
    n, last = shape[axis], shape[-1]
    parts = [f"{n} steps of {last} features", "features"]
    if len(shape) > 2:
        parts = [f"maps of {last} channels", "channels"]
    warn(
        f"Clips of shape {shape_text(rows)} are read as {parts[0]}, the last axis. If "
        f"the {n} are the {parts[1]}, give np.moveaxis(X, {axis + 1}, -1)."
    )


def _channels_by_shape(shape, always_maps):
    """Axes before the last that look like that of channels, the longest one first.

    Where clips need not be maps, only if the last two axes look like height and width
    and the others like channels, not like time.
    """
    if len(shape) < 3:
        return []
    *before, height, width = shape
    small, large = sorted((height, width))

    def looks_so(axis):
        n = before[axis]
        odd = n >= 64 and n > 4 * width
        if odd and not always_maps:
            alike = large == small if n < 480 else large <= 2 * small
            odd = n % 16 == 0 and small >= 5 and alike
        return odd

    return sorted(filter(looks_so, range(len(before))), key=lambda k: -before[k])


def _unlike(rows, axes):
    """The first of some axes whose neighbours are not alike, as frames are, or None.

    Of few clips, or large ones, which are not read for this, the first axis.
    """
    few = rows.shape[0] < N_LEAST or N_LEAST * row_bytes(rows) > _COMPARED
    if few:
        return axes[0]
    drawn = np.linspace(0, rows.shape[0] - 1, N_LEAST).astype(np.intp)
    numbers = _standard(rows.take(drawn))
    return next((k for k in axes if likeness(numbers, k + 1) < ALIKE), None)


def _standard(clips):
    """Each number over the rows, of mean 0 and deviation 1; padding is 0."""
    clips = clips.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num((clips - clips.mean(axis=0)) / clips.std(axis=0))


def _channels_by_likeness(rows):
    """Axis along which neighbours are not alike, as channels are not, or None.

    Steps of a recording are alike, and so are places in a picture. Of clips whose last
    axis is like them, an earlier one that is longer and is not holds the channels. One
    that is as long as features are wide need only be unlike steps.
    """
    shape, last = rows.shape[1:], rows.shape[-1]
    longer = [k for k, n in enumerate(shape[:-1]) if n >= WIDE and n > last]
    if not longer or rows.shape[0] < N_LEAST:
        return None
    n = shape[0]
    if len(shape) == 2 and n >= 384 and n % 128 == 0 and n >= 16 * last:
        first = np.concatenate([c[:, :, 0] for c in some_of(rows)]).astype(np.float64)
        first = np.nan_to_num(first) - np.nan_to_num(first).mean()
        return 0 if likeness(first, 1) < ALIKE else None
    if N_LEAST * row_bytes(rows) > _COMPARED:  # as raw pictures are
        return None
    clips = _standard(np.concatenate(list(some_of(rows))))
    along_last = likeness(clips, -1)
    if along_last < ALIKE:
        return None
    unlike = [k for k in longer if likeness(clips, k + 1) < along_last / 4]
    return unlike[0] if len(unlike) == 1 else None


def likeness(numbers, axis):
    """How alike neighbours along an axis are, about from -1 to 1; numbers of mean 0."""
    numbers = np.moveaxis(numbers, axis, 0)
    power = (numbers**2).mean() if len(numbers) > 1 else 0  # one has no neighbour
    return (numbers[1:] * numbers[:-1]).mean() / power if power > 0 else 0.0


def some_of(rows):
    """Rows drawn from all of them, or all where there are few, in pieces of 4 MiB."""
    n_rows, n = rows.shape[0], _n_looked_at(rows)
    if n >= n_rows:
        return _pieces(rows, np.arange(n_rows))
    drawn = np.random.default_rng(0).choice(n_rows, n, replace=False)
    return _pieces(rows, np.sort(drawn))


def _n_looked_at(rows):
    return min(_N_ROWS, max(N_LEAST, _N_BYTES // row_bytes(rows)))


def _pieces(rows, drawn):
    piece = max(1, _N_BYTES // row_bytes(rows))
    return (rows.take(drawn[k : k + piece]) for k in range(0, len(drawn), piece))


def shape_text(rows):
    """Shape of clips as text, "(n, 8, 64)"."""
    return f"(n, {', '.join(map(str, rows.shape[1:]))})"
