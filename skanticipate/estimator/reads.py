"""What the user's code reads when it runs: values that its files do not tell."""

import dis
import sys
from contextlib import suppress
from functools import cache, cached_property, partial, partialmethod
from inspect import isclass, isfunction, ismodule
from types import CodeType, MethodType

from skanticipate.data.warn import is_the_users
from skanticipate.estimator.state import describe

_CACHED = type(cache(abs))
_WRITES = {"STORE_GLOBAL", "STORE_ATTR", "DELETE_GLOBAL", "DELETE_ATTR"}
_CHANGING = {"append", "extend", "insert", "add", "update", "setdefault", "pop"}
_CHANGING |= {"popitem", "remove", "discard", "clear", "appendleft", "popleft"}
_CONTAINERS = (list, dict, set)


def values_read(given):
    """Values that functions and classes read, and what they call of the user's own.

    Constants of modules, `config.width` of another module too, attributes of classes,
    defaults and what functions enclose. A file tells what they began with, and not what
    a script, or the command line, made of them. Values that the same code changes, as
    it counts or remembers its calls, are none of them; nor are objects that no key can
    tell.

    Parameters
    ----------
    given : iterable of functions and classes
        Those that are not of the user's own are passed over.

    Returns
    -------
    dict of str to str
        Hash of each value, by its place.
    """
    found, changed, seen = {}, set(), {}
    waiting = [value for value in given if _is_own(value)]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing  # kept, lest another gets its place
        if isfunction(thing):
            changed |= _changed_by(thing)
        for name, value in _read_by(thing):
            if inner := _code_in(value):
                waiting += filter(_is_own, inner)
            else:
                found[f"{thing.__module__}:{thing.__qualname__}:{name}"] = value
    told = {k: _told(v) for k, v in found.items() if _last(k) not in changed}
    return {place: value for place, value in told.items() if value is not None}


def _last(place):
    """Name of a value, without that of the module or class that has it."""
    return place.rpartition(":")[2].rpartition(".")[2]


def _is_own(thing):
    """Whether a function, a class or a module is in a file of the user's own."""
    if isfunction(thing):
        return is_the_users(thing.__code__.co_filename)
    module = (
        thing
        if ismodule(thing)
        else sys.modules.get(getattr(thing, "__module__", None))
    )
    path = getattr(module, "__file__", None)
    return path is not None and is_the_users(path)


def _code_in(value):
    """Functions and classes in a value that is such, or wraps one.   -> list."""
    if isfunction(value) or isclass(value):
        return [value]
    if isinstance(value, property):
        return [f for f in (value.fget, value.fset) if isfunction(f)]
    if isinstance(value, cached_property | partial | partialmethod):
        return _code_in(value.func)
    if isinstance(value, staticmethod | classmethod | MethodType):
        return _code_in(value.__func__)
    return _code_in(value.__wrapped__) if isinstance(value, _CACHED) else []


def _read_by(thing):
    """Yield the name and value of what a function, or a class, may read."""
    if isfunction(thing):
        yield from _read_by_function(thing)
        return
    own = vars(thing).items()
    own = {k: v for k, v in own if not k.startswith("__") or _code_in(v)}
    yield from own.items()
    yield from ((base.__name__, base) for base in thing.__bases__)


def _read_by_function(function):
    if function.__defaults__ or function.__kwdefaults__:
        yield "defaults", [function.__defaults__, function.__kwdefaults__]
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # of a cell that is empty yet
            yield name, cell.cell_contents
    read, _ = _names(function.__code__)
    for name in sorted(read & function.__globals__.keys()):
        value = function.__globals__[name]
        if not ismodule(value):
            yield name, value
        elif _is_own(value):
            for inner in sorted(read & vars(value).keys()):
                yield f"{name}.{inner}", getattr(value, inner)


def _changed_by(function):
    """Names of values that a function changes, or of containers that it may."""
    read, changed = _names(function.__code__)
    if "[]" not in changed:
        return changed
    known = function.__globals__
    return changed | {n for n in read if isinstance(known.get(n), _CONTAINERS)}


@cache
def _names(code):
    """Names of globals and attributes that code reads, and those that it changes.

    Among the latter is "[]" if it writes entries of a container, of whatever name; what
    a method writes to its own object is none, as a class or a module has it still.
    """
    read, written, before = set(code.co_names), set(), None
    for step in dis.get_instructions(code):
        if step.opname in _WRITES:
            if before != "self" or "GLOBAL" in step.opname:
                written.add(step.argval)
        elif step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR"):
            written.add("[]")
        elif step.argval in _CHANGING and before is not None:  # LOG.append
            written.add(before)
        last = step.argval[-1:] if isinstance(step.argval, tuple) else (step.argval,)
        before = next((name for name in last if isinstance(name, str)), None)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more, changed = _names(inner)
            read, written = read | more, written | changed
    return frozenset(read), frozenset(written)


def _told(value):
    """Hash of a value, or None of one that no key can tell."""
    value = _plain(value)
    candidates = [value]
    if hasattr(value, "__dict__"):  # such as what argparse gives
        candidates.append([type(value).__qualname__, vars(value)])
    for candidate in candidates:
        with suppress(TypeError, ValueError, AttributeError, RecursionError):
            return describe(candidate).hex()
    return None


def _plain(value):
    """A value as `describe` takes it: sets and bytes too."""
    if isinstance(value, set | frozenset):
        return ["set", *sorted(map(repr, value))]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(_plain, value)]
    if isinstance(value, dict):
        return [[repr(key), _plain(inner)] for key, inner in value.items()]
    return repr(value) if isinstance(value, bytes | complex) else value
