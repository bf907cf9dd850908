"""What a label says: its verb, its noun, the words of their names; its number."""

import re
from collections.abc import Mapping
from numbers import Integral

import numpy as np

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


def missing_mask(labels):
    """Where no action was seen: None, NaN, pd.NA, "", "nan", -1.   (n,) -> (n,) bool.

    Examples
    --------
    >>> missing_mask(["cut onion", "", None]).tolist()
    [False, True, True]
    """
    labels = as_list(labels)
    return np.fromiter((_is_missing(label) for label in labels), bool, len(labels))


def _is_missing(label):
    # pd.NA goes by its name: pandas is optional, and no comparison with NA has a truth
    if label is None or type(label).__name__ == "NAType":
        return True
    return label in ("", "nan", "-1") or label == -1 or label != label


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
        where the labels are strings "verb noun", split at the first space.

    Returns
    -------
    verbs, nouns : object arrays of shape (n,)

    Raises
    ------
    ValueError
        If a label has no (verb, noun), or a table lacks a column or contradicts
        itself.

    Examples
    --------
    >>> verbs, nouns = verbs_and_nouns(["cut onion", "wash cutting board"])
    >>> nouns.tolist()
    ['onion', 'cutting board']
    >>> verbs, _ = verbs_and_nouns([0], {0: ("cut", "onion")})
    >>> verbs.tolist()
    ['cut']
    """
    labels, lookup = as_list(labels), action_lookup(actions)
    pairs = [lookup(label) for label in labels]
    _check_pairs(labels, pairs, actions)
    table = np.empty((len(pairs), 2), dtype=object)
    for row, pair in enumerate(pairs):
        table[row] = pair
    return table[:, 0], table[:, 1]


def _split_name(label):
    verb, space, noun = label.partition(" ") if isinstance(label, str) else ("",) * 3
    return (verb, noun) if verb and noun else None


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
