"""Annotations of the losses, against what their docstrings say."""

import inspect
import re
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from torch import Tensor

from skanticipate import losses


def described(function):
    """Parameters and what the docstring says they are."""
    text = inspect.cleandoc(function.__doc__).partition("Parameters\n---")[2]
    entries = re.findall(r"^([\w, ]+) : (.+)$", text.partition("Returns\n---")[0], re.M)
    return {name: kind for names, kind in entries for name in names.split(", ")}


@pytest.mark.parametrize("name", losses.__all__)
def test_annotations_say_what_docstrings_say(name):
    function = getattr(losses, name)
    hints = get_type_hints(function)
    assert hints.pop("return") is Tensor
    said = described(function)
    assert hints.keys() == said.keys()
    for parameter, kind in said.items():
        hint = hints[parameter]
        assert (type(None) in get_args(hint)) == ("None" in kind), parameter
        options = re.match(r"\{(.+)\}", kind)
        assert (get_origin(hint) is Literal) == bool(options), parameter
        if options:
            assert set(get_args(hint)) == set(re.findall(r'"(\w+)"', options.group(1)))
        else:
            plain = next(iter(get_args(hint)), hint)
            word = {Tensor: "tensor", float: "float", int: "int"}[plain]
            assert word in kind, parameter
