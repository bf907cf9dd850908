"""What a label says: its verb, its noun, and their words."""

import re
import unicodedata
from collections.abc import Mapping, Set
from numbers import Integral

import numpy as np

from skanticipate.data.boxes import unboxed
from skanticipate.data.missing import (
    as_list,
    label_list,
    missing_elsewhere,
    missing_mask,
)
from skanticipate.data.names import column_names
from skanticipate.data.numbered import is_number
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.twins import warn_of_first_twins
from skanticipate.data.warn import warn

_TABLE_COLUMNS = ("label", "verb", "noun")
_ID_COLUMNS = {"label": "label", "verb": "verb_id", "noun": "noun_id"}
_CAMEL_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Second words of verbs, which say nothing of a thing.
_PARTICLES = frozenset(
    "about across along apart around aside at away back backward backwards by down for "
    "forward forwards from in inside into off on onto out outside over through to "
    "together toward towards up with".split()
)
_SEPARATORS = re.compile(r"[-\u2010-\u2015_:/\s]+")  # dashes of all lengths
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))  # of no word


def words(name):
    """Lower-case words of a class name, in the order in which they are written.

    Examples
    --------
    >>> words("Divide/Pull Apart")
    ['divide', 'pull', 'apart']
    >>> words("board:cutting")
    ['board', 'cutting']
    """
    composed = unicodedata.normalize("NFC", str(name))  # as lists of words have it
    spaced = _CAMEL_HUMP.sub(" ", composed.translate(_UNSEEN))
    return [word.lower() for word in _SEPARATORS.split(spaced) if word]


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
        A mapping or Series label -> (verb, noun), whose pairs may be mappings
        {"verb": verb, "noun": noun}; or a table (DataFrame, Bunch, mapping of
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
        If `actions` is None and a label has more than two words, or a second one such
        as "down", which is no noun; if two verbs or two nouns look alike, as "cut" and
        "Cut" do (`warn_of_twins`); if labels share one such as "NA".

    Examples
    --------
    >>> verbs, nouns = verbs_and_nouns(["cut onion", "wash pan"])
    >>> nouns.tolist()
    ['onion', 'pan']
    >>> verbs, _ = verbs_and_nouns([0], {0: ("cut", "onion")})
    >>> verbs.tolist()
    ['cut']
    """
    labels = as_list(labels)
    pairs = _pairs(labels, actions)
    columns = (labels, *zip(*pairs, strict=True))
    warn_of_first_twins(*columns)
    for kind, names in zip(("verb", "noun"), columns[1:], strict=False):
        _warn_of_shared_marks(kind, names)
    if actions is None:
        warn_of_long_names(labels)
    table = np.empty((len(pairs), 2), dtype=object)
    for row, pair in enumerate(pairs):
        table[row] = pair
    return table[:, 0], table[:, 1]


def refuse_ids(verbs, nouns):
    """Refuse verbs and nouns that are numbers, where their words are read.

    Raises
    ------
    ValueError
        If one is a number, or the text of one.

    Examples
    --------
    >>> refuse_ids(["cut"], ["12"])
    Traceback (most recent call last):
    ValueError: The noun '12' is a number, but its words are read: pass names rather ...
    """
    for kind, names in (("verb", verbs), ("noun", nouns)):
        if ids := [name for name in names if is_number(name)]:
            raise ValueError(
                f"The {kind} {ids[0]!r} is a number, but its words are read: pass "
                "names rather than ids in actions=, a mapping label -> (verb, noun) or "
                "a table with the columns label, verb and noun."
            )


def verb_noun_pairs(labels, actions=None):
    """List of (verb, noun), as `verbs_and_nouns` has them; long names pass unsaid."""
    return _pairs(as_list(labels), actions)


def _pairs(labels, actions):
    lookup = action_lookup(actions)
    pairs = [lookup(label) for label in labels]
    _check_pairs(labels, pairs, actions)
    return pairs


def _warn_of_shared_marks(kind, names):
    """Warn of a verb or noun of several labels that elsewhere is a missing one."""
    marks = missing_elsewhere(names)
    if len(set(marks)) < len(marks):
        warn(
            f"Several labels have the {kind} {marks[0]!r}, which so is one that they "
            "share: if it says that there is none, write for instance a verb without "
            "an object as ('walk', 'walk')."
        )


def warn_of_long_names(labels):
    """Warn of strings that `_split_name` may split at a wrong place."""
    # Sorted, so that all who split the labels of one fit say the same.
    long = sorted({name for name in as_list(labels) if _n_words(name) > 2})
    phrasal = sorted({name for name in as_list(labels) if _is_phrasal(name)})
    if names := long[:3] + phrasal[:3]:
        splits = (f"{name!r} as {_split_name(name)}" for name in names)
        warn(
            "Labels are split into verb and noun after the first word, "
            f"{', '.join(splits)}: if a verb has more words than one, or no noun, pass "
            "actions=, a mapping label -> (verb, noun) or a table with the columns "
            "label, verb and noun, where there is no noun with the verb in its place."
        )


def _is_phrasal(label):
    pair = _split_name(label) or ("", "")
    return pair[1].casefold() in _PARTICLES


def _n_words(label):
    return len(label.split()) if isinstance(label, str) else 0


def _split_name(label):
    if _n_words(label) < 2:
        return None
    verb, *noun = label.split()
    return verb, " ".join(noun)


def as_mapping(actions):
    """Return the mapping label -> (verb, noun), from a table where one was given.

    A Series names its labels in its index, and so may a DataFrame. A pair may be a
    mapping too, {"verb": verb, "noun": noun}.

    Raises
    ------
    ValueError
        If a table or Series lacks a column or contradicts itself, or a pair that is a
        mapping lacks its verb or noun.

    Examples
    --------
    >>> as_mapping({"label": [7], "verb": ["cut"], "noun": ["onion"]})
    {7: ('cut', 'onion')}
    >>> as_mapping({7: {"noun": "onion", "verb": "cut"}})
    {7: ('cut', 'onion')}
    """
    if _is_series(actions):
        return _without_contradiction(
            (label, _as_pair(label, pair)) for label, pair in actions.items()
        )
    is_table = not isinstance(actions, Mapping) or set(_TABLE_COLUMNS) <= set(actions)
    if is_table:
        return _of_table(actions)
    labels, pairs = list(actions), list(actions.values())
    found = unboxed((labels, pairs))
    if any(map(_has_names, set(map(type, found[1])))):
        found = found[0], list(map(_as_pair, *found))
    if found[0] is labels and found[1] is pairs:
        return actions
    return dict(zip(*found, strict=True))


def by_ids(actions):
    """Ids in place of names, of a table that has the columns `verb_id` and `noun_id`.

    Anything else is returned as it is.

    Raises
    ------
    ValueError
        If such a table has no column `label`.

    Examples
    --------
    >>> by_ids({"label": [7], "verb_id": [0], "noun_id": [3]})
    {'label': [7], 'verb': [0], 'noun': [3]}
    >>> by_ids({7: (0, 3)})
    {7: (0, 3)}
    """
    if not says_labels(actions):
        return actions
    table = with_labels(actions)
    names = set(table if hasattr(table, "keys") else column_names(table))
    if not {"verb_id", "noun_id"} <= names:
        return actions
    if "label" not in names:
        raise ValueError(
            "actions has the columns 'verb_id' and 'noun_id', but no 'label': add the "
            "label of each action."
        )
    return {name: table[column] for name, column in _ID_COLUMNS.items()}


def says_labels(actions):
    """Whether this is a mapping or a table that `as_mapping` takes."""
    return hasattr(actions, "items") or hasattr(actions, "columns")


def _is_series(actions):
    return hasattr(actions, "items") and not (
        isinstance(actions, Mapping) or hasattr(actions, "columns")
    )


def _has_names(pair):
    """Whether a pair, or its type, names its parts, which then come in any order.

    A mapping or a Series does, and a named tuple of a verb and a noun.
    """
    return hasattr(pair, "keys") or _is_named_tuple(pair)


def _is_named_tuple(pair):
    fields = getattr(pair, "_fields", ())
    return "verb" in fields and "noun" in fields


def _as_pair(label, pair):
    if not _has_names(pair):
        return tuple(pair) if isinstance(pair, np.ndarray) else pair
    if _is_named_tuple(pair):
        return pair.verb, pair.noun
    if "verb" in pair and "noun" in pair:
        return pair["verb"], pair["noun"]
    raise ValueError(
        f"actions gives label {label!r} a {type(pair).__name__} without 'verb' and "
        "'noun': expected a pair (verb, noun) or {'verb': verb, 'noun': noun} for each "
        "label; of a DataFrame pass the table itself."
    )


def with_labels(table):
    """A table whose index names the labels, with a column `label` of them."""
    named = getattr(getattr(table, "index", None), "name", None) == "label"
    return table.reset_index() if named and "label" not in table.columns else table


def _of_table(actions):
    table = with_labels(actions)
    try:
        table = {name: table[name] for name in _TABLE_COLUMNS}
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            "actions must be a mapping label -> (verb, noun) or a table with the "
            f"columns 'label', 'verb' and 'noun', got {type(actions).__name__} without "
            "them: rename the columns, or pass dict(zip(labels, zip(verbs, nouns)))."
        ) from error
    check_rows_alike(**table)
    columns = [label_list(table[name], f"{name} of actions") for name in table]
    if len({len(column) for column in columns}) > 1:
        raise ValueError(
            "The columns label, verb and noun of actions must be equally long, got "
            f"{', '.join(str(len(column)) for column in columns)} rows."
        )
    labels, *parts = columns
    pairs = zip(labels, zip(*parts, strict=True), strict=True)
    return _without_contradiction(pairs)


def _without_contradiction(pairs):
    """Entries as a dict; a label with two of them is an error."""
    mapping = {}
    for label, pair in pairs:
        if mapping.setdefault(label, pair) != pair:
            raise ValueError(
                f"actions gives label {label!r} both {mapping[label]} and {pair}: keep "
                "one row for each label."
            )
    return mapping


def _check_pairs(labels, pairs, actions):
    told = [(label, p) for label, p in zip(labels, pairs, strict=True) if p is not None]
    for label, pair in told:
        if not _is_pair(pair):
            raise ValueError(
                f"actions must give a pair (verb, noun) for each label, got {pair!r} "
                f"for label {label!r}."
            )
    if missing_mask([part for _, pair in told for part in pair]).any():
        label, pair = next(e for e in told if missing_mask(e[1]).any())
        raise ValueError(
            f"actions gives label {label!r} the verb {pair[0]!r} and the noun "
            f"{pair[1]!r}, of which one is missing and would count as one that labels "
            "share: name both, for instance a verb without an object as ('walk', "
            "'walk')."
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


def _is_pair(pair):
    # of a set nobody knows which of the two is the verb
    is_other = isinstance(pair, str | bytes | Set | Mapping)
    return hasattr(pair, "__getitem__") and not is_other and len(pair) == 2


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
