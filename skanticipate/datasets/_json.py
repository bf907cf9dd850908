"""A JSON file whose every complaint names the file and the entry."""

import json
from collections import Counter
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from skanticipate.datasets._csv import named, read_text

_KINDS = {  # kind of value -> what is expected, and whether a value is that
    "text": ("a text", lambda v: isinstance(v, str) and v.strip()),
    "count": ("a whole number from 0", lambda v: _is_whole(v) and v >= 0),
    "seconds": ("seconds", lambda v: _is_number(v) and abs(v) <= 1e9),
    "delay": ("seconds from 0", lambda v: _is_number(v) and 0 <= v <= 1e9),
    "rate": ("a number above 0", lambda v: _is_number(v) and 0 < v <= 1e9),
    "list": ("a list", lambda v: isinstance(v, list)),
}


class Entries:
    """List of objects in a file, whose every complaint names the file and the entry."""

    def __init__(self, path, name, rows, places=None):
        self.path, self.name, self.rows, self.places = path, name, rows, places
        if not isinstance(rows, list) or not rows:
            raise ValueError(f"{path} has no entries under {name!r}.")
        for row, entry in enumerate(rows):
            if not isinstance(entry, Mapping):
                raise self.error(row, f"is {entry!r:.40}: expected an object")

    def error(self, row, complaint):
        place = f"{self.name}[{row}]" if self.places is None else self.places[row]
        return ValueError(f"{self.path}, {place}, {complaint}.")

    def column(self, key, kind):
        """Values of a kind under a key.   -> (n,)."""
        expected, fits = _KINDS[kind]
        for row, entry in enumerate(self.rows):
            if key not in entry:
                raise self.error(row, f"has no {key!r}: expected {expected}")
            if not fits(entry[key]):
                raise self.error(
                    row, f"has {entry[key]!r:.40} as {key}: expected {expected}"
                )
        values = [entry[key] for entry in self.rows]
        if kind == "list":
            return values
        dtypes = {"text": np.str_, "count": np.int64}
        return np.array(values, dtype=dtypes.get(kind, np.float64))

    def have(self, keys):
        """Whether entries have these keys, all of them or none."""
        n_keys = [sum(key in entry for key in keys) for entry in self.rows]
        for row, n in enumerate(n_keys):
            if n not in (0, len(keys)) or n != n_keys[0]:
                raise self.error(
                    row,
                    f"has {n} of {', '.join(keys)}, and the first entry {n_keys[0]}: "
                    "expected them in all entries, or in none",
                )
        return n_keys[0] > 0


def json_object(path):
    """Object in a JSON file."""
    text = read_text(path, "JSON")
    if not text.strip():
        raise ValueError(f"{path} is empty: expected JSON.")
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}). {named(path)}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} is {content!r:.40}: expected an object, {{...}}.")
    return content


def _object(pairs):
    """An object, of which no key is written twice: a dict would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(k for k, n in Counter(k for k, _ in pairs).items() if n > 1)
        raise ValueError(f"an object has the key {key!r} twice")
    return found


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value):
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    return is_integer and abs(value) < 2**53
