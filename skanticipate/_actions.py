"""What a label says: whether it is one, its verb, its noun, their words, its number."""

import re
from collections.abc import Mapping
from numbers import Integral

import numpy as np

from skanticipate._warn import warn

# What str() and tables make of a missing label, and of the marker -1.
_NEVER_NAMES = frozenset({"", "nan", "NaN", "<NA>"})
_SELDOM_NAMES = frozenset({"None", "-1", "-1.0"})
_TABLE_COLUMNS = ("label", "verb", "noun")
_CAMEL_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS = re.compile(r"[-_:/\s]+")


def words(name):
    """Lower-case words of a class name, in the order in which they are written.

    Examples
    --------
    >>> words("Divide/Pull Apart")
    ['divide', 'pull', 'apart']
    >>> words("board:cutting")
    ['board', 'cutting']
    """
    spaced = _CAMEL_HUMP.sub(" ", str(name))
    return [word.lower() for word in _SEPARATORS.split(spaced) if word]


def as_list(labels):
    """Labels as a list of plain Python values.

    A list is taken as it is: `np.asarray(["cut", nan])` would read "nan" for the
    missing label.
    """
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)


def as_array(labels):
    """Labels as an array of the same shape that keeps which of them are missing.

    Raises
    ------
    ValueError
        If labels are bytes, which equal no string.

    Examples
    --------
    >>> as_array(["cut", None, -1])
    array(['cut', None, -1], dtype=object)
    """
    if isinstance(labels, np.ma.MaskedArray):
        labels = labels.tolist()
    if not hasattr(labels, "__array__"):
        # numpy would write None, NaN and -1 among strings as strings
        array = np.array(labels, dtype=object)
    else:
        array = np.asarray(labels)
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.kind == "f" and array.ndim == 1 and _is_foreign(labels):
        # whole numbers beside a missing one, which numpy has as floats only
        array = np.array(as_list(labels), dtype=object)
    of_objects = array.dtype == object
    if array.dtype.kind == "S" or of_objects and bytes in set(map(type, array.flat)):
        raise ValueError("Labels are bytes: decode them, as np.char.decode(y) does.")
    return array


def as_column(labels):
    """Labels as `as_array` has them; a list of strings as an array of strings."""
    array = as_array(labels)
    if hasattr(labels, "__array__") or not all(isinstance(v, str) for v in array.flat):
        return array
    return array.astype(str)


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
    found = (holds(label) for label in labels.ravel().tolist())
    return np.fromiter(found, bool, labels.size).reshape(labels.shape)


def is_missing(label):
    """Whether a label is None, NaN or NA, or one of these or -1 written as text.

    Examples
    --------
    >>> [is_missing(label) for label in (None, "", "nan", "-1", -1, "cut")]
    [True, True, True, True, False, False]
    """
    if isinstance(label, str):
        return label.strip() in _SELDOM_NAMES or is_never_a_name(label)
    return is_never_a_name(label)


def is_never_a_name(label):
    """Whether a label is missing and nobody would call a class so."""
    if isinstance(label, str):
        return label.strip() in _NEVER_NAMES
    # pd.NA goes by its name: pandas is optional, and no comparison with NA has a truth
    return label is None or type(label).__name__ == "NAType" or label != label


def resolve_marker(y, unlabeled_label, classes=None):
    """What marks an unlabelled row of `y`: a value, or None where nothing does.

    "auto" reads -1 in whole numbers as the marker, unless -1 is one of `classes` or
    -1 and 1 are the only values (ordinary signed binary labels).
    """
    if not (isinstance(unlabeled_label, str) and unlabeled_label == "auto"):
        if classes is not None and label_codes([unlabeled_label], classes)[0] >= 0:
            raise ValueError(
                f"classes holds {unlabeled_label!r}, the value of unlabeled_label: it "
                "either is a class or marks unlabelled rows."
            )
        return unlabeled_label
    if classes is not None:
        return None if -1 in as_list(classes) else -1
    values = y[~missing_label_mask(y)].tolist()
    marked = [not isinstance(v, str) and v == -1 for v in values]
    signed_binary = any(v == 1 for v in values) and all(v in (-1, 1) for v in values)
    return -1 if any(marked) and not signed_binary else None


def unlabeled_mask(y, marker, classes=None):
    """Rows of `y` that carry the marker of unlabelled rows.   (n,) -> (n,) bool.

    A marker of None means that every row is labelled. One that is a missing label
    stands for all kinds of them, but for a text that is one of `classes`. A number
    never matches a string, and in object arrays only a true number equals a number.
    """
    y = as_array(y)
    if marker is None:
        return np.zeros(len(y), dtype=bool)
    if is_missing(marker):
        return missing_label_mask(y, classes)
    if y.dtype == object:
        return np.fromiter((_same_kind_equal(v, marker) for v in y), bool, len(y))
    if isinstance(marker, str) != (y.dtype.kind in "US"):
        return np.zeros(len(y), dtype=bool)
    return y == marker


def _same_kind_equal(value, marker):
    alike = isinstance(value, str) == isinstance(marker, str)
    return alike and not is_missing(value) and value == marker


def label_codes(labels, classes):
    """Position of each label in `classes`, -1 where it is not a class.   (n,) intp.

    Examples
    --------
    >>> label_codes(["pour", "fly"], ["cut", "pour"]).tolist()
    [1, -1]
    """
    position = {label: code for code, label in enumerate(as_list(classes))}
    labels = as_list(labels)
    codes = (position.get(label, -1) for label in labels)
    return np.fromiter(codes, np.intp, len(labels))


def number_names(names):
    """Number of each name, and the list of names, in order of first appearance.

    Examples
    --------
    >>> codes, names = number_names(["pan", "cup", "pan"])
    >>> codes.tolist(), names
    ([0, 1, 0], ['pan', 'cup'])
    """
    names = as_list(names)
    distinct = list(dict.fromkeys(names))
    return label_codes(names, distinct), distinct


def action_lookup(actions=None):
    """Return a function `label -> (verb, noun)` that gives None where it knows nothing.

    `actions` is as in `verbs_and_nouns`.
    """
    if actions is None:
        return _split_name
    return as_mapping(actions).get


def verbs_and_nouns(labels, actions=None):
    """Verb and noun of each action label.

    Parameters
    ----------
    labels : sequence of n labels
    actions : mapping, table or None, default=None
        A mapping label -> (verb, noun); or a table (DataFrame, Bunch, mapping of
        equally long columns) with the columns `label`, `verb` and `noun`; or None
        where the labels are strings "verb noun", split after the first word.

    Returns
    -------
    verbs, nouns : object arrays of shape (n,)

    Raises
    ------
    ValueError
        If a label has no (verb, noun), or a table lacks a column or contradicts
        itself.

    Warns
    -----
    UserWarning
        If `actions` is None and a label has more than two words.

    Examples
    --------
    >>> verbs, nouns = verbs_and_nouns(["cut onion", "wash pan"])
    >>> nouns.tolist()
    ['onion', 'pan']
    >>> verbs, _ = verbs_and_nouns([0], {0: ("cut", "onion")})
    >>> verbs.tolist()
    ['cut']
    """
    pairs = verb_noun_pairs(labels, actions)
    if actions is None:
        warn_of_long_names(labels)
    table = np.empty((len(pairs), 2), dtype=object)
    for row, pair in enumerate(pairs):
        table[row] = pair
    return table[:, 0], table[:, 1]


def verb_noun_pairs(labels, actions=None):
    """List of (verb, noun), as `verbs_and_nouns` has them; long names pass unsaid."""
    labels, lookup = as_list(labels), action_lookup(actions)
    pairs = [lookup(label) for label in labels]
    _check_pairs(labels, pairs, actions)
    return pairs


def warn_of_long_names(labels):
    """Warn of strings that `_split_name` may split at a wrong place."""
    # Sorted, so that all who split the labels of one fit say the same.
    long = sorted({name for name in as_list(labels) if _n_words(name) > 2})
    if long:
        splits = (f"{name!r} as {_split_name(name)}" for name in long[:3])
        warn(
            "Labels of more than two words are split after the first, "
            f"{', '.join(splits)}: if a verb has more words than one, pass actions=, a "
            "mapping label -> (verb, noun) or a table with the columns label, verb and "
            "noun."
        )


def _n_words(label):
    return len(label.split()) if isinstance(label, str) else 0


def _split_name(label):
    if _n_words(label) < 2:
        return None
    verb, *noun = label.split()
    return verb, " ".join(noun)


def as_mapping(actions):
    """Return the mapping label -> (verb, noun), from a table where one was given.

    Raises
    ------
    ValueError
        If a table lacks a column or contradicts itself.

    Examples
    --------
    >>> as_mapping({"label": [7], "verb": ["cut"], "noun": ["onion"]})
    {7: ('cut', 'onion')}
    """
    is_table = not isinstance(actions, Mapping) or set(_TABLE_COLUMNS) <= set(actions)
    if not is_table:
        return actions
    try:
        columns = [as_list(actions[name]) for name in _TABLE_COLUMNS]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            "actions must be a mapping label -> (verb, noun) or a table with the "
            f"columns 'label', 'verb' and 'noun', got {type(actions).__name__} without "
            "them: rename the columns, or pass dict(zip(labels, zip(verbs, nouns)))."
        ) from error
    if len({len(column) for column in columns}) > 1:
        raise ValueError(
            "The columns label, verb and noun of actions must be equally long, got "
            f"{', '.join(str(len(column)) for column in columns)} rows."
        )
    mapping = {}
    for label, verb, noun in zip(*columns, strict=True):
        if mapping.setdefault(label, (verb, noun)) != (verb, noun):
            raise ValueError(
                f"actions gives label {label!r} both {mapping[label]} and "
                f"{(verb, noun)}: keep one row for each label."
            )
    return mapping


def _check_pairs(labels, pairs, actions):
    for label, pair in zip(labels, pairs, strict=True):
        if pair is not None and (isinstance(pair, str) or len(pair) != 2):
            raise ValueError(
                f"actions must give a pair (verb, noun) for each label, got {pair!r} "
                f"for label {label!r}."
            )
    unknown = [label for label, pair in zip(labels, pairs, strict=True) if pair is None]
    if unknown:
        first = ", ".join(repr(label) for label in dict.fromkeys(unknown[:5]))
        remedy = (
            _ask_for_actions(unknown)
            if actions is None
            else "add them to actions, under labels of the same type as in y."
        )
        raise ValueError(
            f"Every label needs a verb and a noun, but {len(set(unknown))} labels have "
            f"none, among them {first}: {remedy}"
        )


def _ask_for_actions(unknown):
    remedy = (
        "pass actions=, a mapping label -> (verb, noun) or a table with the columns "
        "label, verb and noun, unless all labels are strings 'verb noun'."
    )
    if not all(isinstance(label, Integral) for label in unknown):
        return remedy
    return (
        f"{remedy} Meta-estimators such as VotingClassifier and StackingClassifier "
        "encode labels as 0..C-1, in sorted order, before an estimator sees them: "
        "inside of them actions must be keyed by these numbers."
    )
