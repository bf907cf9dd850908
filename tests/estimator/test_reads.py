"""Values that code reads when it runs, and no file tells, are part of a key."""

import importlib
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from skanticipate import MLP, DistilledAnticipator, RecognitionTeacher
from skanticipate.data.rows import RowView
from skanticipate.signals.cache import key_of

CODE = {
    "chosen.py": "WIDTH = 3\n",
    "own.py": """
import functools
import chosen
import torch
from skanticipate import RecognitionTeacher

ALPHA, TABLE, ARGS, UNREAD, CALLS = 1.0, {"a": [1, 2]}, None, 1, 0
LOG, MEMORY = [], {}

def scaled(factor):
    def wrap(function):
        @functools.wraps(function)
        def inner(*args, **params):
            return function(*args, **params) * factor
        return inner
    return wrap

def helper():
    return ALPHA

class Base(RecognitionTeacher):
    depth, seen = 1, []

    @property
    def power(self):
        return [helper() for _ in range(2)][0] + self.depth

class Teacher(Base):
    def predict_proba(self, X):
        global CALLS
        CALLS += 1
        LOG.append(len(X))
        MEMORY[len(X)] = self.seen.append(len(X))
        return super().predict_proba(X) ** self.power

class Sized:
    def __init__(self, WIDTH=1):
        self.WIDTH = WIDTH  # of this name is a constant of the module, too

    def __call__(self, params, lr):
        return torch.optim.SGD(params, lr=lr * chosen.WIDTH)

class Configured(RecognitionTeacher):
    def predict_proba(self, X):
        return super().predict_proba(X) ** (chosen.WIDTH + ARGS.power + TABLE["a"][0])

def optimizer(params, lr, *, momentum=0.5):
    return torch.optim.SGD(params, lr=lr * helper(), momentum=momentum)

class Maker:
    scale = 1.0

    def __call__(self, params, lr):
        return torch.optim.SGD(params, lr=lr * self.scale)

@scaled(2.0)
def score(model, X, y):
    return 0.5
""",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    for name, text in CODE.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    module = importlib.import_module("own")
    module.ARGS = SimpleNamespace(power=1)
    yield module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def key(teacher):
    clips, codes = RowView(np.zeros((3, 2))), np.array([0, 1, 0])
    return key_of(teacher, clips, codes, np.array([0, 1]), 0, 0, None)


def set_cell(own):
    own.score.__closure__[0].cell_contents = 3.0


HOLDERS = {
    "class": lambda own: own.Teacher(MLP(4)),
    "nested": lambda own: DistilledAnticipator(teacher=own.Teacher(MLP(4))),
    "configured": lambda own: own.Configured(MLP(4)),
    "function": lambda own: RecognitionTeacher(optimizer=own.optimizer),
    "partial": lambda own: RecognitionTeacher(optimizer=partial(own.optimizer)),
    "object": lambda own: RecognitionTeacher(optimizer=own.Maker()),
    "sized": lambda own: RecognitionTeacher(optimizer=own.Sized()),
    "wrapped": lambda own: RecognitionTeacher(scoring=own.score),
}
CHANGES = {
    "constant behind a helper": lambda own: setattr(own, "ALPHA", 2.0),
    "constant of another module": lambda own: setattr(own.chosen, "WIDTH", 4),
    "entry of a table": lambda own: own.TABLE["a"].__setitem__(0, 7),
    "argument": lambda own: setattr(own.ARGS, "power", 2),
    "attribute of a base class": lambda own: setattr(own.Base, "depth", 2),
    "default": lambda own: setattr(own.optimizer, "__kwdefaults__", {"momentum": 0.9}),
    "attribute of what is called": lambda own: setattr(own.Maker, "scale", 2.0),
    "enclosed": set_cell,
}


@pytest.mark.parametrize(
    ("holder", "change"),
    [
        *(
            ("class", c)
            for c in ("constant behind a helper", "attribute of a base class")
        ),
        *(
            ("nested", c)
            for c in ("constant behind a helper", "attribute of a base class")
        ),
        ("configured", "constant of another module"),
        ("sized", "constant of another module"),
        ("configured", "entry of a table"),
        ("configured", "argument"),
        ("function", "constant behind a helper"),
        ("function", "default"),
        ("partial", "constant behind a helper"),
        ("object", "attribute of what is called"),
        ("wrapped", "enclosed"),
    ],
)
def test_what_code_reads_is_part_of_the_key(own, holder, change):
    first = key(HOLDERS[holder](own))
    assert key(HOLDERS[holder](own)) == first is not None
    CHANGES[change](own)
    assert key(HOLDERS[holder](own)) != first


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_it_does_not_read_or_changes_itself_is_not(own, holder):
    first = key(HOLDERS[holder](own))
    own.UNREAD, own.CALLS, own.NEW = 2, 5, "new"
    own.LOG.append(3)
    own.MEMORY[3] = 1
    own.Base.seen.append(3)
    assert key(HOLDERS[holder](own)) == first
