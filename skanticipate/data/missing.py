"""Labels as they come: out of what, which are missing; codes."""

from collections.abc import KeysView, Mapping, Set

import numpy as np

from skanticipate.data.boxes import (
    BYTES,
    PLAIN,
    of_numpy,
    refuse_bytes,
    refuse_counts,
    refuse_identical,
    unboxed,
)
from skanticipate.data.stored import check_stored

# What str() and tables make of a missing label, and of the marker -1.
_NEVER_NAMES = frozenset({"", "nan", "NaN", "<NA>", "NaT", "--"})
_MISSING_TEXTS = _NEVER_NAMES | {"None", "-1", "-1.0"}  # the last three may be names
# What other tools call a missing label; here a class may be called so.
_NAMES_ELSEWHERE = frozenset(
    {"na", "n/a", "#n/a", "null", "<null>", "nan", "?", "-", "unlabeled", "unlabelled"}
)


def as_list(labels):
    """Labels as a list of plain Python values, taken out of the boxes they are in.

    A list is taken as it is: `np.asarray(["cut", nan])` would read "nan" for the
    missing label.
    """
    if hasattr(labels, "tolist"):
        found = labels.tolist()
    elif hasattr(labels, "to_pylist"):  # of pyarrow, whose chunks would give scalars
        found = labels.to_pylist()
    elif hasattr(labels, "dims") or _is_array_of_others(labels):
        found = np.asarray(labels).tolist()
    else:
        found = list(labels)
    return found if _holds_values(labels) else unboxed(found)


def _is_array_of_others(labels):
    """Whether this is an array of one axis, as those of zarr and dask are."""
    return hasattr(labels, "__array__") and getattr(labels, "ndim", 0) == 1


def _holds_values(labels):
    """Whether the type of an array says that there are no objects in it."""
    return isinstance(labels, np.ndarray) and labels.dtype != object


def label_list(labels, name, *, ordered=True):
    """Labels of a parameter as a list, checked by `check_label_list`."""
    check_label_list(labels, name, ordered=ordered)
    found = as_list(labels)
    check_hashable(found, name)
    return found


def check_hashable(labels, name):
    """Refuse labels that nothing can look up: lists, and what equals itself alone."""
    refuse_identical(labels, name)
    refuse_bytes(labels)
    try:
        set(labels)
    except TypeError:
        told = f"{name} must hold one label each, no list, got {labels!r:.80}."
        raise ValueError(told) from None


def check_label_list(labels, name, *, ordered=True):
    """Refuse what is no list of labels, though Python may read it as one.

    Parameters
    ----------
    labels : array-like of shape (m,)
    name : str
        What the labels are called.
    ordered : bool, default=True
        Whether the order says something, which a set has not.

    Raises
    ------
    ValueError
        If there is a single label, a mapping, a table, counts, or a set whose order
        counts.

    Examples
    --------
    >>> check_label_list("cut", "labels")
    Traceback (most recent call last):
    ValueError: labels must be a list of labels, got 'cut': a single one is ['cut'].
    """
    single = not (hasattr(labels, "__iter__") or _is_array_of_others(labels))
    if single or isinstance(labels, str | bytes):
        raise ValueError(
            f"{name} must be a list of labels, got {labels!r}: a single one is "
            f"[{labels!r}]."
        )
    if not ordered:
        refuse_counts(labels, name)
    unordered = isinstance(labels, Set) and not isinstance(labels, KeysView)
    is_table = isinstance(labels, Mapping) or hasattr(labels, "columns")
    if is_table or (ordered and unordered) or getattr(labels, "ndim", 1) != 1:
        shape = getattr(labels, "shape", None)
        raise ValueError(
            f"{name} must be a list of labels, got a {type(labels).__name__}"
            f"{'' if shape is None else f' of shape {shape}'}: pass them in a list, "
            "in their order."
        )


def as_array(labels):
    """Labels as an array of the same shape that keeps which of them are missing.

    Raises
    ------
    ValueError
        If labels are bytes, which equal no string, or a file says that some of them
        stand for others, or for none.

    Examples
    --------
    >>> as_array(["cut", None, -1])
    array(['cut', None, -1], dtype=object)
    """
    if type(labels) is np.ndarray and labels.dtype.kind in "biufU":  # as mostly
        return of_numpy(labels) if labels.dtype.isbuiltin == 2 else labels
    if isinstance(labels, np.ma.MaskedArray):
        labels = labels.tolist()
    elif isinstance(labels, list | tuple):
        labels = unboxed(_shown(labels))
    elif type(labels) is not np.ndarray:
        check_stored(labels, "A column")
        kinds = labels.dtypes if hasattr(labels, "iterrows") else ()  # of pandas
        if "category" in map(str, kinds):
            labels = labels.astype(object)  # a missing number would be a large one
        (labels,) = unboxed([labels])  # a tensor
    if not hasattr(labels, "__array__"):
        # numpy would write None, NaN and -1 among strings as strings
        array = np.array(labels, dtype=object)
    else:
        array = of_numpy(np.asarray(labels))
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.kind == "f" and array.ndim == 1 and _is_foreign(labels):
        # whole numbers beside a missing one, which numpy has as floats only
        array = np.array(as_list(labels), dtype=object)
    if array.dtype == object:
        array = _of_plain(array, hasattr(labels, "__array__"))
    if array.dtype.kind == "S":
        raise ValueError(BYTES)
    return array


def _shown(labels):
    """A list in which what masked arrays hide is None."""
    kinds = set(map(type, labels))
    if not any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        return labels
    is_masked = np.ma.isMaskedArray
    return [part.tolist() if is_masked(part) else part for part in labels]


def _of_plain(array, is_whole):
    """An array of objects, those in boxes taken out; rows of one length are joined."""
    values = array.ravel().tolist()
    if set(map(type, values)) <= PLAIN:  # as mostly
        return array
    found = unboxed(_shown(values))
    if array.ndim:
        refuse_identical(found)
        refuse_bytes(found)
    if is_whole and array.ndim == 1 and _are_rows(found):
        return np.array([as_array(row) for row in found], dtype=object)
    if found is values:
        return array
    return np.array([*found, None], dtype=object)[:-1].reshape(array.shape)


def _are_rows(values):
    """Whether these are lists or arrays, all of one length."""
    if not values or not all(isinstance(v, list | np.ndarray) for v in values):
        return False
    return len(set(map(len, values))) == 1


def as_column(labels):
    """Labels as `as_array` has them; a list of strings as an array of strings."""
    array = as_array(labels)
    if hasattr(labels, "__array__") or not all(isinstance(v, str) for v in array.flat):
        return array
    # Members of an Enum say their own name to `astype(str)`, cut to the text's length.
    texts = [str.__str__(label) for label in array.flat]
    return np.array(texts, dtype=str).reshape(array.shape)


def _is_foreign(labels):
    return not isinstance(getattr(labels, "dtype", None), np.dtype)


def of_one_kind(labels, name="y"):
    """Labels of which none is missing, as numbers if all are.   (n,) -> (n,).

    Examples
    --------
    >>> of_one_kind(np.array([3, 5], dtype=object))
    array([3, 5])
    """
    if labels.dtype != object:
        return labels
    values = labels.tolist()
    strings = [isinstance(label, str) for label in values]
    if any(strings) and not all(strings):
        pair = values[strings.index(True)], values[strings.index(False)]
        raise ValueError(
            f"{name} mixes strings and other labels, such as {pair[0]!r} and "
            f"{pair[1]!r}: give all labels one type."
        )
    if any(strings):
        return labels
    numbers = np.array(values)
    return numbers if numbers.shape == labels.shape else labels


def missing_mask(labels):
    """Where no action was seen: a label is missing, or is -1.   (...) -> (...) bool.

    Examples
    --------
    >>> missing_mask(["cut onion", "", None, -1]).tolist()
    [False, True, True, True]
    """
    return _mask(labels, lambda label: is_missing(label) or label == -1)


def missing_label_mask(labels, classes=None):
    """Where a label is missing, and no text that is one of `classes`.   (...) bool."""
    missing = _mask(labels, is_missing)
    if classes is not None and missing.any():
        missing &= label_codes(labels, classes) < 0
    return missing


def _mask(labels, holds):
    labels = as_array(labels)
    if labels.dtype.kind in "biuf":
        return np.isnan(labels) | (holds(-1) & (labels == -1))
    values = labels.ravel().tolist()
    if set(map(type, values)) <= PLAIN:  # each of them once, for speed
        holds = {label: holds(label) for label in set(values)}.__getitem__
    found = map(holds, values)
    return np.fromiter(found, bool, labels.size).reshape(labels.shape)


def is_missing(label):
    """Whether a label is None, NaN or NA, or one of these or -1 written as text.

    Examples
    --------
    >>> [is_missing(label) for label in (None, "", "nan", "-1", -1, "cut")]
    [True, True, True, True, False, False]
    """
    if isinstance(label, str):
        return label.strip() in _MISSING_TEXTS
    return is_never_a_name(label)


def is_never_a_name(label):
    """Whether a label is missing and nobody would call a class so."""
    if isinstance(label, str):
        return label.strip() in _NEVER_NAMES
    if label is None or label is np.ma.masked:
        return True
    # pd.NA goes by its name: pandas is optional, and no comparison with NA has a truth
    return type(label).__name__ == "NAType" or label != label


def missing_elsewhere(labels):
    """Those of some labels that are texts which to other tools say that there is none.

    Examples
    --------
    >>> missing_elsewhere(["NA", "?", "none", None])
    ['NA', '?']
    """
    texts = (label for label in labels if isinstance(label, str))
    return [text for text in texts if text.strip().casefold() in _NAMES_ELSEWHERE]


def without_missing(labels):
    """Those of some labels that are not missing.   -> list."""
    return [label for label in labels if not is_missing(label)]


def holds_missing(labels):
    """Whether one of some labels is missing, and nobody would call a class so."""
    return any(map(is_never_a_name, labels))


def label_mask(present, labels):
    """Which entries of `present` are among `labels`.   (m,) -> (m,) bool."""
    present, wanted = as_list(present), as_list(labels)
    masks = [any(isinstance(v, bool) for v in part) for part in (wanted, present)]
    if masks == [True, False]:  # True equals 1
        raise ValueError("Expected labels, got a mask: give classes[mask].")
    n, wanted = len(wanted), set(wanted)
    if len(wanted) < n and wanted <= {0, 1} and not wanted.issuperset(present):
        raise ValueError(
            "Expected labels, got 0 and 1 many times over, which looks like a mask: "
            "give classes[mask == 1], or each label once."
        )
    return np.fromiter((v in wanted for v in present), bool, len(present))


def check_same_kind(labels, classes, name, whose):
    """Refuse labels of which none can be a class: strings beside numbers.

    Parameters
    ----------
    labels, classes : sequences of labels
    name, whose : str
        What they are called.

    Raises
    ------
    ValueError
        If all labels are strings and no class is, or the reverse.
    """
    texts, named = (
        {isinstance(label, str) for label in as_list(values) if label is not None}
        for values in (labels, classes)
    )
    if len(texts) == len(named) == 1 and texts != named:
        kinds = "strings" if True in texts else "no strings"
        raise ValueError(
            f"{name} holds {kinds}, such as {as_list(labels)[0]!r}, unlike {whose}, "
            f"such as {as_list(classes)[0]!r}: give both the same type."
        )


def label_codes(labels, classes):
    """Position of each label in `classes`, -1 where it is not a class.   (n,) intp.

    Examples
    --------
    >>> label_codes(["pour", "fly"], ["cut", "pour"]).tolist()
    [1, -1]
    """
    if _are_whole(labels, classes):
        return _codes_of_whole_numbers(labels, classes)
    labels, classes = as_list(labels), as_list(classes)
    refuse_identical(classes)
    position = {label: code for code, label in enumerate(classes)}
    codes = [position.get(label, -1) for label in labels]
    if -1 in codes:
        refuse_identical([label for label in labels if label not in position])
    return np.array(codes, dtype=np.intp)


def _are_whole(*arrays):
    """Whether these are arrays of integers that can be compared as such."""
    plain = all(isinstance(a, np.ndarray) and a.dtype.kind in "iu" for a in arrays)
    return plain and np.result_type(*arrays).kind in "iu"


def _codes_of_whole_numbers(labels, classes):
    """`label_codes` of arrays of integers, without a Python object for each."""
    if not classes.size:
        return np.full(labels.size, -1, dtype=np.intp)
    order = np.argsort(classes, kind="stable")
    place = np.searchsorted(classes, labels, side="right", sorter=order) - 1
    codes = order[np.maximum(place, 0)]
    return np.where(classes[codes] == labels, codes, -1)


def number_names(names):
    """Number of each name, and the list of names, in order of first appearance.

    Examples
    --------
    >>> codes, names = number_names(["pan", "cup", "pan"])
    >>> codes.tolist(), names
    ([0, 1, 0], ['pan', 'cup'])
    """
    numbers = {}
    codes = [numbers.setdefault(name, len(numbers)) for name in as_list(names)]
    refuse_identical(numbers)
    return np.array(codes, dtype=np.intp), list(numbers)
