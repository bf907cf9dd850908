"""Arrays of a video whose frames lie along the first axis or the second."""


def other_width(shape, expected, time_axis):
    """Features of a frame, those expected, and a hint, where they differ; or None."""
    d, wanted = shape[1 - time_axis], expected[1 - time_axis]
    if d == wanted:
        return None
    turned = shape[time_axis] == expected[time_axis]
    return d, wanted, f" Say time_axis={1 - time_axis} if they lie so." * turned


def steps(array, start, stop, time_axis):
    """Frames start, ..., stop - 1 of an array, in rows.   (k, d)."""
    return array[start:stop] if time_axis == 0 else array[:, start:stop].T
