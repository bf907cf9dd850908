"""Annotations of the public names: they are there, and say what docstrings say.

What mypy makes of them is said in `typing_cases.py`, which `make lint` checks.
"""

import inspect
import re
import types
import typing
from typing import Any, Literal, get_args, get_origin

import pytest
import typing_cases
from numpy.typing import ArrayLike
from test_docstrings import NAMES, section
from torch import Tensor

from skanticipate import RowView, networks

SPECIAL = ("__init__", "__len__", "__iter__", "__getitem__", "__array__", "__call__")
OVERLOADED = {RowView.__getitem__}  # annotated where it is overloaded
WORDS = {"float": float, "int": int, "bool": bool, "str": str, "tensor": Tensor}


def functions(thing):
    """What is called or read of a public name and was written here, by its name."""
    if not inspect.isclass(thing):
        yield thing.__name__, inspect.unwrap(thing)
        return
    for name in dir(thing):
        owner = next(c for c in thing.__mro__ if name in vars(c))
        member = inspect.getattr_static(owner, name)
        member = getattr(member, "fget", None) or getattr(member, "__func__", member)
        public = name in SPECIAL or not name.startswith("_")
        if public and owner.__module__.startswith("skanticipate"):
            if inspect.isfunction(member) and "request" not in name:
                yield f"{thing.__name__}.{name}", inspect.unwrap(member)


def unique(things):
    found = {}
    for thing in things:
        for name, function in functions(thing):
            if function.__module__.startswith("skanticipate"):
                found.setdefault(function, name)
    return {name: function for function, name in found.items()}


SPECS = [getattr(networks, name) for name in networks.__all__]
FUNCTIONS = unique([*NAMES.values(), *SPECS])
EVERY = pytest.mark.parametrize("name", FUNCTIONS)


def hints(function):
    """Annotations, as a user reads them; gensim need not be there."""
    return typing.get_type_hints(function)


def options(hint):
    """Members of a union, unions within it included."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        return {option for part in get_args(hint) for option in options(part)}
    return {hint}


def literals(hint):
    found = [get_args(o) for o in options(hint) if get_origin(o) is Literal]
    return {value for values in found for value in values}


def parameters(function):
    """Parameters but self, by name."""
    found = inspect.signature(function).parameters
    return {k: v for k, v in found.items() if k not in ("self", "cls")}


@EVERY
def test_every_parameter_and_what_is_returned_is_annotated(name):
    function = FUNCTIONS[name]
    if function in OVERLOADED:
        return
    signature = inspect.signature(function)
    bare = [k for k, p in parameters(function).items() if p.annotation is p.empty]
    assert not bare
    assert signature.return_annotation is not signature.empty


@EVERY
def test_defaults_are_of_the_types_that_annotations_say(name):
    function = FUNCTIONS[name]
    for parameter, hint in hints(function).items():
        default = getattr(parameters(function).get(parameter), "default", None)
        anything = Any in options(hint)
        if default is None or default is inspect.Parameter.empty or anything:
            continue
        plain = {o for o in options(hint) if isinstance(o, type)}
        plain -= {
            o for o in plain if getattr(o, "_is_protocol", typing.is_typeddict(o))
        }
        plain |= {get_origin(o) for o in options(hint)} - {None, Literal}
        plain |= {int} if float in plain else set()
        assert default in literals(hint) or isinstance(default, tuple(plain)), parameter


@EVERY
def test_none_is_annotated_where_it_is_the_default(name):
    function = FUNCTIONS[name]
    for parameter, hint in hints(function).items():
        if parameter in parameters(function):
            default = parameters(function)[parameter].default
            if default is None:
                assert options(hint) & {type(None), object, Any}, parameter


def described():
    """Yield (name, parameter, what its docstring says of its type, its annotation)."""
    documented = dict(FUNCTIONS)
    documented |= {n: t for n, t in NAMES.items() if inspect.isclass(t)}
    for name, thing in documented.items():
        function = thing.__init__ if inspect.isclass(thing) else thing
        if not inspect.isfunction(function) or not thing.__doc__:
            continue
        known = hints(inspect.unwrap(function))
        for names, kind, _ in section(thing, "Parameters"):
            for parameter in names if kind else ():
                if parameter in known and known[parameter] not in (object, Any):
                    yield name, parameter, kind, known[parameter]


DESCRIBED = {}
for _name, *_what in described():
    DESCRIBED.setdefault(_name, []).append(_what)


@pytest.mark.parametrize("name", DESCRIBED)
def test_annotations_say_what_docstrings_say(name):
    for parameter, kind, hint in DESCRIBED[name]:
        said, _, _ = kind.partition(", default=")
        may_be_none = "None" in re.sub(r"\(.*\)", "", kind)
        assert (type(None) in options(hint)) == may_be_none, parameter
        quoted = set(re.findall(r'"(\w+)"', said))
        numbers = re.match(r"\{([\d, ]+)\}", said)
        quoted |= {int(n) for n in numbers[1].split(",")} if numbers else set()
        assert literals(hint) == quoted, parameter
        word = said.split(" ")[0].rstrip(",")
        if word in WORDS and " of " not in said and not re.search(r"\bor\b|,", said):
            assert options(hint) - {type(None)} == {WORDS[word]}, parameter
        elif word == "array-like":
            assert options(ArrayLike) <= options(hint), parameter


@EVERY
def test_help_is_short(name):
    assert "numpy._typing" not in str(inspect.signature(FUNCTIONS[name]))


def test_the_cases_that_mypy_accepts_run():
    typing_cases.right_uses()
