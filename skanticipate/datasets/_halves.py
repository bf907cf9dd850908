"""Texts of actions, "take_pan" or "take pan", as verbs and nouns."""

import re
from collections import Counter

_LONGEST = 300  # characters of an action
_MOST_ROUNDS = 10


def halves(file, name, *ids):
    """Split the texts of a column into verbs and nouns.

    Parameters
    ----------
    file : CsvFile
    name : str
        Its column.
    *ids : sequences of n ids, none or two
        Those of the verb and of the noun, where they are known.

    Returns
    -------
    verbs, nouns : tuples of n str
        Where a text has several separators, the halves that more of the other texts of
        the same ids could have, and fewer of other ids; else those at the first
        underscore, or at the first space.

    Raises
    ------
    ValueError
        If a text has no halves; names the file and the line.
    """
    texts = file.strings(name)
    for row, text in enumerate(texts):
        if len(text) > _LONGEST:  # with halves at all of its spaces
            raise file.error(
                row,
                f"has {len(text)} characters as {name}: expected verb_noun or verb "
                f"noun, of at most {_LONGEST}",
            )
    splits = [_splits(text) for text in texts]
    for row, text in enumerate(texts):
        if not splits[row]:
            raise file.error(
                row, f"has {text!r} as {name}: expected verb_noun or verb noun"
            )
    ids = list(zip(*ids, strict=True)) or [()] * len(splits)
    of_id, of_any = Counter(), Counter()  # texts that could have a name
    for row_ids, row_splits in zip(ids, splits, strict=True):
        named = {part for split in row_splits for part in _named(row_ids, split)}
        of_id.update(named)
        of_any.update((kind, word) for kind, _, word in named)

    def agreement(row_ids, split):
        parts = _named(row_ids, split)
        return sum(2 * of_id[kind, i, w] - of_any[kind, w] for kind, i, w in parts)

    best = [
        max(
            row_splits, key=lambda split: agreement(row_ids, split)
        )  # the first of them
        for row_ids, row_splits in zip(ids, splits, strict=True)
    ]
    return tuple(zip(*_agreed(ids, splits, best), strict=True))


def _agreed(ids, splits, chosen):
    """Halves of texts that agree with those which the other texts have got.

    What a text could have does not always tell, as of "turn on tap" and "turn on door".
    One text after the other takes others, until none does.
    """
    of_id, of_any = Counter(), Counter()

    def count(row, split, sign):
        for kind, identifier, word in _named(ids[row], split):
            of_id[kind, identifier, word] += sign
            of_any[kind, word] += sign

    def agreement(row, split):
        parts = _named(ids[row], split)
        return sum(2 * of_id[part] - of_any[part[0], part[2]] for part in parts)

    for row, split in enumerate(chosen):
        count(row, split, 1)
    for _ in range(_MOST_ROUNDS):
        before = list(chosen)
        for row, split in enumerate(before):
            count(row, split, -1)
            # that which it has, where others are no better
            chosen[row] = max((split, *splits[row]), key=lambda s: agreement(row, s))
            count(row, chosen[row], 1)
        if chosen == before:
            break
    return chosen


def _splits(text):
    """All halves of a text, those at underscores first.

    >>> _splits("Turn on_faucet")
    [('Turn on', 'faucet'), ('Turn', 'on_faucet')]
    """
    # EGTEA's verbs may hold spaces ("Turn on_faucet"), but never "_".
    places = [m.span() for sign in ("_", r"\s+") for m in re.finditer(sign, text)]
    pairs = [(text[:start], text[stop:]) for start, stop in places]
    return [(verb, noun) for verb, noun in pairs if verb and noun]


def _named(ids, split):
    """Which of the two, its id and its name, of verb and noun."""
    return list(zip(("verb", "noun"), ids, split, strict=False))
