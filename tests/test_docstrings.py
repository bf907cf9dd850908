"""What help() says of the public names, against what they take and have."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import skanticipate
from skanticipate import (
    MLP,
    DistilledAnticipator,
    RecognitionTeacher,
    SmoothedAnticipator,
    datasets,
    losses,
    metrics,
    plotting,
    presets,
    priors,
    teachers,
)

NAMES = {
    name: getattr(skanticipate, name)
    for name in skanticipate.__all__
    if callable(getattr(skanticipate, name))
}
for module in (datasets, losses, metrics, plotting, presets, priors, teachers):
    for name in module.__all__:
        thing = getattr(module, name)
        if callable(thing) and thing not in NAMES.values():
            NAMES[f"{module.__name__.rpartition('.')[2]}.{name}"] = thing
CLASSES = pytest.mark.parametrize(
    "name", [name for name, thing in NAMES.items() if inspect.isclass(thing)]
)
ANTICIPATORS = [SmoothedAnticipator, DistilledAnticipator, RecognitionTeacher]
PUBLIC = pytest.mark.parametrize("name", NAMES)
ROOT = Path(__file__).parent.parent


def section(thing, title):
    """Entries of a section: [(names, type, text)]."""
    lines = inspect.cleandoc(thing.__doc__).splitlines()
    if title not in lines:
        return []
    entries = []
    for line, below in zip(
        lines[lines.index(title) + 2 :],
        [*lines[lines.index(title) + 3 :], ""],
        strict=True,
    ):
        if set(below) == {"-"}:  # the next section
            break
        if line and not line.startswith(" "):
            names, _, kind = line.partition(" : ")
            entries.append(([n.lstrip("*") for n in names.split(", ")], kind, []))
        elif line:
            entries[-1][2].append(line.strip())
    return [(names, kind, " ".join(text)) for names, kind, text in entries]


def written(default):
    """Value of a default as it is written; NaN is not equal to itself."""
    return "nan" if default in ("nan", "np.nan") else ast.literal_eval(default)


def takes(thing):
    """Parameters by name."""
    return dict(inspect.signature(thing).parameters)


@PUBLIC
def test_every_parameter_is_described_in_the_order_of_the_signature(name):
    if name == "datasets.FeatureTable":
        pytest.skip("functions make it, not users")
    described = [n for names, _, _ in section(NAMES[name], "Parameters") for n in names]
    assert described == list(takes(NAMES[name]))


@PUBLIC
def test_defaults_that_are_described_are_those_of_the_signature(name):
    parameters = takes(NAMES[name])
    for names, kind, _ in section(NAMES[name], "Parameters"):
        for parameter in names if kind else ():  # else "as in" another function
            default = parameters[parameter].default
            said = re.search(r"default=(.+)$", kind)
            if default is inspect.Parameter.empty:
                assert said is None, parameter
            else:
                assert said is not None, parameter
                assert written(said.group(1)) == written(repr(default)), parameter


@CLASSES
def test_every_parameter_says_what_it_is_and_means(name):
    for names, kind, text in section(NAMES[name], "Parameters"):
        assert kind, names
        assert kind != "object", names
        assert text, names


@PUBLIC
def test_nobody_is_sent_to_the_docstring_of_another_class(name):
    assert "as in `SmoothedAnticipator`" not in NAMES[name].__doc__.replace("\n", " ")


@pytest.mark.parametrize("kind", ANTICIPATORS)
def test_every_fitted_attribute_is_described(kind):
    X, y = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 0]
    model = kind(MLP(2), max_epochs=1, random_state=0).fit(X, y)
    fitted = {name for name in vars(model) if re.fullmatch(r"[a-z]\w*_", name)}
    described = {n for names, _, _ in section(kind, "Attributes") for n in names}
    assert fitted <= described
    assert described - fitted <= {"feature_names_in_"}  # of tables only


@pytest.mark.parametrize("kind", ANTICIPATORS)
def test_shared_parameters_mean_the_same_everywhere(kind):
    def shared(thing):
        return {
            names[0]: (type_, text)
            for names, type_, text in section(thing, "Parameters")
            if names[0] in takes(RecognitionTeacher) and names[0] != "network"
        }

    assert shared(kind) == shared(SmoothedAnticipator)
    assert shared(kind).keys() == set(takes(RecognitionTeacher)) - {"network"}


def test_estimators_are_among_the_names():
    estimators = [
        n
        for n, thing in NAMES.items()
        if inspect.isclass(thing) and issubclass(thing, BaseEstimator)
    ]
    assert len(estimators) > 30


# ------------------------------------------------------------------- as numpydoc has it


def documented(thing):
    """Full names of a public thing and, of a class, of what it has and we wrote."""
    yield f"{thing.__module__}.{thing.__qualname__}"
    for name in dir(thing) if inspect.isclass(thing) else ():
        owner = next((c for c in thing.__mro__ if name in vars(c)), None)
        ours = owner is not None and owner.__module__.startswith("skanticipate.")
        if name.startswith("_") or name.endswith("_request") or not ours:
            continue
        member = vars(owner)[name]
        if inspect.isroutine(member) or isinstance(member, property):
            yield f"{owner.__module__}.{owner.__qualname__}.{name}"


@PUBLIC
def test_docstrings_are_as_numpydoc_wants_them(name):
    hooks = pytest.importorskip("numpydoc.hooks.validate_docstrings")
    checks = hooks.parse_config(ROOT)["checks"]
    for number, path in enumerate(documented(NAMES[name])):
        wanted = checks if number else checks | {"EX01", "RT01"}
        errors = hooks.validate.validate(path)["errors"]
        assert not [error for error in errors if error[0] in wanted], path
