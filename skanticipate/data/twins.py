"""Which names are one, and which look alike but count as two."""

import re
import unicodedata
from numbers import Real

from skanticipate.data.missing import without_missing
from skanticipate.data.warn import warn

_WHOLE = re.compile(r"(-?\d+)\.0+")
_TRUTHS = {"True": "1", "False": "0"}  # as numpy and Python compare them
_AROUND = re.compile(r" ?([^\w\s]) ?")  # spaces around commas and the like


def name_of(label):
    """A label as a name: equal numbers have one name, as text of a file too.

    Examples
    --------
    >>> [name_of(label) for label in (2, 2.0, "2", "2.0", "cut onion")]
    ['2', '2', '2', '2', 'cut onion']
    """
    if isinstance(label, Real) and label == label // 1:
        return str(int(label))
    text = str(label)
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else _TRUTHS.get(text, text)


def names_of(labels):
    """Names of some labels.   -> list of str."""
    return [name_of(label) for label in labels]


def warn_of_twins(kind, names, where="in actions= or the labels", known=()):
    """Warn of names that look like one, as "Cut" and "cut " do, but count as two.

    Two that differ in nothing but case, spaces, characters that are not seen, the kind
    of a dash, how Unicode composes letters, or how a number is written.

    Parameters
    ----------
    kind : str
        What a name is of.
    names : iterable
        Of these only texts and numbers are looked at.
    where : str
        Where to mend them.
    known : iterable
        Names beside those, which are not compared with each other.

    Returns
    -------
    bool
        Whether there are some.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     found = warn_of_twins("label", ["cut", "mix"], known=["Cut"])
    >>> str(told[0].message)[:52]
    "The labels 'Cut' and 'cut' differ in nothing but cas"
    """
    names, known = _with_look(names), _with_look(known)
    if not any(isinstance(name, str) for name in (*names, *known)):
        return False
    seen = dict(zip(_looks_of(known), known, strict=True))
    for name, look in zip(names, _looks_of(names), strict=True):
        twin = seen.setdefault(look, name)
        if twin != name:
            warn(
                f"The {kind}s {_told(twin)} and {_told(name)} differ in nothing but "
                "case, spaces, characters that are not seen and how letters, dashes "
                f"and numbers are written, and count as two: write them alike {where}, "
                "unless they are two."
            )
            return True
    return False


def warn_of_first_twins(*columns):
    """`warn_of_twins` of labels, or, where there are none, of their verbs, or nouns."""
    kinds = zip(("label", "verb", "noun"), columns, strict=False)
    any(warn_of_twins(kind, names) for kind, names in kinds)


def _told(name):
    return ascii(str(name) if isinstance(name, str) else name)


def _with_look(names):
    """Texts and numbers among names, each once; missing ones are none."""
    names = list(names)
    kinds = {kind for kind in set(map(type, names)) if issubclass(kind, str | Real)}
    found = dict.fromkeys(name for name in names if type(name) in kinds)
    return without_missing(found)


def _looks_of(names):
    """What names look like; that of a number is the number.   -> list of str."""
    texts = [str(name) for name in names]
    texts = [text if text.isascii() else _as_seen(text) for text in texts]
    texts = names_of([" ".join(text.split()) for text in texts])
    texts = [_AROUND.sub(r"\1", text).casefold() for text in texts]
    return [(t.lstrip("0") or "0") if t.isdecimal() else t for t in texts]


def _as_seen(text):
    """A text without characters that are not seen, and with "-" for all dashes."""
    kinds = {"Cf": "", "Pd": "-"}
    seen = unicodedata.normalize("NFKC", text)
    return "".join(kinds.get(unicodedata.category(c), c) for c in seen)
