"""Arrays of a video whose frames lie along the first axis or the second."""

import numpy as np

from skanticipate.data.axis_names import are_elsewhere, dims_of, in_words, named_axes


def turned(table):
    """A table, or an array with names, whose rows are its columns; others as they are.

    Of a table that none can turn, as those of polars, the numbers.
    """
    if not hasattr(table, "columns") and dims_of(table) is None:
        return table
    return table.T if hasattr(table, "T") else np.asarray(table).T


def other_width(shape, expected, time_axis):
    """Features of a frame, those expected, and a hint, where they differ; or None."""
    d, wanted = shape[1 - time_axis], expected[1 - time_axis]
    if d == wanted:
        return None
    turned = shape[time_axis] == expected[time_axis]
    return d, wanted, f" Say time_axis={1 - time_axis} if they lie so." * turned


def other_axes(data, time_axis):
    """Say that the axes of an array (n_frames, d) are called otherwise; None if not."""
    names = named_axes(data)
    if names is None or not are_elsewhere(names[:: 1 - 2 * time_axis]):
        return None
    which = "first" if time_axis == 0 else "second"
    return (
        f"axes that are called ({in_words(names)}), but the {which} is to count the "
        f"frames: pass time_axis={1 - time_axis}, or remove the names if they are wrong"
    )


def steps(array, start, stop, time_axis):
    """Frames start, ..., stop - 1 of an array, in rows.   (k, d)."""
    return array[start:stop] if time_axis == 0 else array[:, start:stop].T
