"""Names that look alike, and count as two."""

import re
import unicodedata
from numbers import Real

from skanticipate.data.missing import is_missing
from skanticipate.data.numbered import name_of
from skanticipate.data.warn import warn

_AROUND = re.compile(r" ?([^\w\s]) ?")  # spaces around commas and the like


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
    seen = {_look_of(name): name for name in known}
    for name in names:
        twin = seen.setdefault(_look_of(name), name)
        if twin != name:
            warn(
                f"The {kind}s {_told(twin)} and {_told(name)} differ in nothing but "
                "case, spaces, characters that are not seen and how letters, dashes "
                f"and numbers are written, and count as two: write them alike {where}, "
                "unless they are two."
            )
            return True
    return False


def _told(name):
    return ascii(str(name) if isinstance(name, str) else name)


def _with_look(names):
    """Texts and numbers among names, each once; missing ones are none."""
    names = list(names)
    kinds = {kind for kind in set(map(type, names)) if issubclass(kind, str | Real)}
    found = dict.fromkeys(name for name in names if type(name) in kinds)
    return [name for name in found if not is_missing(name)]


def _look_of(name):
    """What a name looks like; that of a number is the number.   -> str."""
    text = str(name)
    if not text.isascii():
        text = "".join(map(_as_seen, unicodedata.normalize("NFKC", text)))
    text = _AROUND.sub(r"\1", name_of(" ".join(text.split()))).casefold()
    return (text.lstrip("0") or "0") if text.isdecimal() else text


def _as_seen(character):
    """A character as it is seen: "" if it is not, and "-" for each kind of dash."""
    return {"Cf": "", "Pd": "-"}.get(unicodedata.category(character), character)
