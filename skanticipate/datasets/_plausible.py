"""Whether bytes are numbers of a type, or of another type that was not declared."""

import numpy as np

from skanticipate.data.stored import bits_of

# No feature that anybody computes is larger; a file whose largest is smaller has none.
_LARGEST, _SMALLEST = 1e15, 1e-30
# All bytes are numbers of |u1 as of |i1, so errors name both.
_CANDIDATES = [
    np.dtype(name)
    for name in ("<f4", ">f4", "<f8", ">f8", "<i8", "<i4", "<i2", "<f2", ">f2", "|u1")
]
# Integers beyond are likelier to be something else, of which they are a part or two.
_LARGEST_OF_SIZE = {8: 2**15, 4: 2**15, 2: 2**12, 1: 2**8}


def check_bytes(values, dtype, where, *, width_known):
    """Refuse bytes that are hardly numbers of a type.

    Parameters
    ----------
    values : list of bytes
        The features of some frames, one value a frame, all of one length.
    dtype : numpy.dtype
    where : str
        What errors call the values.
    width_known : bool
        Whether the user has said how many numbers a value has, so that a type of
        another size is out of question.
    """
    raw = np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), -1)
    if not width_known:
        _check_ends(raw, dtype, where)
    reason = _strangeness(raw, dtype, width_known)
    if reason is None:
        return
    remedy = _remedy(raw, width_known and dtype.itemsize)
    if _strangeness(raw, dtype, True) is None:
        remedy += f" If they are {_in_words(dtype)}, confirm it with d=."
    raise ValueError(f"{where} are hardly {_in_words(dtype)}: {reason}. {remedy}")


def excess(frames):
    """Say which numbers are no features.   (n, d) -> str or None.

    Frames that are all NaN stand for padding; any other NaN is no feature. Integers
    become float32, which must hold them exactly, and are no floats of which a library
    without bfloat16, as HDF5 and NumPy are, was given the bits.
    """
    if kind := bits_of(frames):
        return (
            f"they are whole numbers of 16 bits, and look like the bits of {kind} "
            "(store them as float32, if they are numbers)"
        )
    if frames.dtype.kind == "f":
        limit = min(_LARGEST, float(np.finfo(frames.dtype).max))
    else:
        frames, limit = frames.astype(np.float64), 2**24
    with np.errstate(invalid="ignore"):
        beyond = ~(np.abs(frames) <= limit)
    if beyond.any():
        beyond &= ~np.isnan(frames).all(axis=1, keepdims=True)
    if not beyond.any():
        return None
    example = frames[beyond][0]
    return (
        f"{100 * beyond.mean():.2g} % of them, such as {example:.3g}, are not finite "
        f"or beyond {limit:.2g}"
    )


def _check_ends(raw, dtype, where):
    """Refuse integers, such as a length, before or after the numbers of a frame."""
    if dtype.kind != "f" or (dtype.itemsize == 2 and len(raw) == 1):
        return
    magnitudes = _magnitudes(raw.view(dtype))
    largest = np.where(magnitudes > 0, magnitudes, 0).max(axis=0)
    alive, smallest = largest > 0, _smallest(dtype)
    if dtype.itemsize == 2:  # rare features of float16 are as small, but vary
        alive &= largest == np.fmin.reduce(magnitudes)
    for what, end in (("header", slice(None)), ("trailer", slice(None, None, -1))):
        feature = (largest[end] >= smallest).argmax()
        tiny = np.flatnonzero(alive[end][:feature])
        if not tiny.size:
            continue
        n = (tiny[-1] + 1) * dtype.itemsize
        rest = raw[:, n:] if what == "header" else raw[:, :-n]
        if _strangeness(np.ascontiguousarray(rest), dtype, True) is None:
            raise ValueError(
                f"{where} are features of {_in_words(dtype)} with what looks like a "
                f"{what} of {n} bytes or more, read as {largest[end][tiny[0]]:.3g}: "
                "expected the bytes of features only. Cut it off each value, "
                f"or confirm with d={len(largest)} that there are as many features."
            )


def _smallest(dtype):
    """Features that are all below are none; float16 is small without being strange."""
    return float(np.finfo(np.float16).tiny) if dtype.itemsize == 2 else _SMALLEST


def _remedy(raw, itemsize):
    """Say what bytes look like, of a size if one is given, and what to do."""
    likely = _likely_type(raw, itemsize)
    convert = "convert them to float32 where they were written: NumPy has no bfloat16"
    if (likely is None or likely.itemsize < 4) and any(
        itemsize in (False, 2) and raw.shape[1] % 2 == 0 and _is_bfloat16(raw, dtype)
        for dtype in (np.dtype("<f2"), np.dtype(">f2"))
    ):
        return f"They look like bfloat16: {convert}."
    if likely is None:
        return "They look like no numbers at all: expected the bytes of an array."
    if likely.itemsize == 1:
        return (
            "They look like bytes: pass dtype='|u1' if they are uint8, or dtype='|i1' "
            "if they are int8."
        )
    remedy = f"They look like {_in_words(likely)}: if so, pass dtype={likely.str!r}."
    if likely.kind == "f" and likely.itemsize == 2:
        remedy += f" If they are bfloat16, {convert}."
    return remedy


def _is_bfloat16(raw, dtype):
    """Whether numbers read as float16 are bfloat16.   (n, bytes of a frame) -> bool.

    The exponent of float16 is then the upper part of that of bfloat16, and magnitudes
    are to the power of about 1/8: they all lie about 1. Genuine features that are 0 or
    of both signs are rarely so, and as bfloat16 spread far below their median.
    """
    numbers = raw.view(dtype)
    words = raw.view(dtype.str.replace("f", "u")).astype(np.uint32)
    alive = np.isfinite(numbers) & (numbers != 0)
    bfloats = (words << 16).view(np.float32)
    read, meant = (np.log2(_magnitudes(x[alive])) for x in (numbers, bfloats))
    if len(np.unique(read)) < 32 or ((numbers > 0) | np.isnan(numbers)).all():
        return False
    above = np.quantile(meant, 0.99) - np.median(meant)
    return read.std() < 0.4 and 0.7 < meant.std() < 3 and above < 3.5


def _in_words(dtype):
    name = dtype.newbyteorder("=").name
    return f"big-endian {name}" if dtype.str.startswith(">") else name


def _likely_type(raw, itemsize):
    """Return a type, of a size if one is given, of which the bytes may be, or None."""
    # compressed data can be read as small integers, too
    is_noise = np.bincount(raw.ravel(), minlength=256).max() < raw.size / 64
    fitting = [
        dtype
        for dtype in _CANDIDATES
        if dtype.itemsize == (itemsize or dtype.itemsize)
        and raw.shape[1] % dtype.itemsize == 0
        and (dtype.kind == "f" or (not is_noise and _is_small(raw.view(dtype))))
        and _strangeness(raw, dtype, bool(itemsize)) is None
    ]
    # the first that spreads like features; all bytes are numbers of a byte
    return min(
        fitting,
        key=lambda dtype: (dtype.itemsize == 1, max(_spread(raw.view(dtype)), 4)),
        default=None,
    )


def _is_small(integers):
    limit = _LARGEST_OF_SIZE[integers.dtype.itemsize]
    return _magnitudes(integers).max() < limit


def _magnitudes(numbers):
    with np.errstate(invalid="ignore"):  # some NaN complain
        return np.abs(numbers.astype(np.float64))


def _spread(numbers):
    """Standard deviation of the logarithms: that of noise in exponents is large."""
    magnitudes = _magnitudes(numbers)
    magnitudes = magnitudes[(magnitudes > 0) & (magnitudes < np.inf)]
    return np.log(magnitudes).std() if magnitudes.size else 0.0


def _strangeness(raw, dtype, width_known):
    """Say what is wrong with numbers of a type.   (n, bytes of a frame) -> or None."""
    frames = raw.view(dtype)
    if reason := excess(frames):
        return reason
    magnitudes = _magnitudes(frames)
    largest = magnitudes[magnitudes > 0].max(initial=0)
    if dtype.kind == "f" and 0 < largest < _smallest(dtype):  # integers
        return f"the largest is {largest:.3g}"
    if dtype.kind == "f" and dtype.itemsize == 2 and _is_bfloat16(raw, dtype):
        return "they all lie about 1, as bfloat16 does when it is read as float16"
    if dtype.kind == "f":
        spread, swapped = _spread(frames), _spread(raw.view(dtype.newbyteorder("S")))
        if spread > 3 * swapped + 4:
            return "they spread far less with their bytes in the other order"
    if width_known:
        return None
    order = -1 if dtype.str.startswith(">") else 1
    if dtype in ("<f4", ">f4", "<f8", ">f8", "<i2"):
        numbers = raw.reshape(-1, dtype.itemsize)[magnitudes.ravel() > 0, ::order]
        if _holds_halves(numbers):
            return "half of each looks like a number of its own"
    if dtype.kind == "f" and _holds_wholes(magnitudes[:, ::order]):
        return "every second one looks like the rest of its neighbour"
    return None


def _holds_halves(numbers):
    """Whether the lower half of numbers is like the upper.   (n, itemsize) of uint8.

    The upper byte of a floating-point number has most of its exponent, and takes few
    values. In the middle, where a shorter number would end, lies noise, or little where
    the number has few digits. So: are the bytes there as if drawn from the upper ones?
    The gain over noise, in nats a number, is below 0 for noise (Gibbs' inequality).
    """
    halves = numbers[:, [numbers.shape[1] // 2 - 1, -1]]
    lower, upper = (halves % 128 // 4).T  # of float16: the exponent without its sign
    counts = np.bincount(upper, minlength=32) + 1 / 8
    gains = np.log(32 * counts / counts.sum())[lower]
    return gains.sum() > 8 and gains.mean() > 0.5


def _holds_wholes(magnitudes):
    """Whether pairs of numbers are one of twice the size.   (n, d), lower half first.

    The upper half of a number of twice the size that is 3e-5 to 6e4 reads as 0.5 to 8.
    The lower half is 0, or noise of any magnitude, and 0 where the upper half is.
    """
    if magnitudes.shape[1] % 2:
        return False
    lower, upper = magnitudes[:, ::2], magnitudes[:, 1::2]
    alive = upper > 0
    if alive.any(axis=0).sum() < 2 or lower[~alive].any():
        return False
    fits = (upper[alive] >= 0.5) & (upper[alive] < 8)
    usual = (lower[alive] > 1e-6) & (lower[alive] < 1e6)
    return fits.mean() > 0.99 and usual.mean() < 0.5
