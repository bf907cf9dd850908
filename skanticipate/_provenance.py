"""What an answer depends on beside data and parameters: code, files and versions."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from functools import cache
from inspect import isfunction, unwrap
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator

from skanticipate._state import parts, state_of
from skanticipate._warn import is_the_users

# What fits are computed with: another version may draw other numbers.
_COMPUTING = ("numpy", "scipy", "scikit-learn", "torch")
_KNOWN = {"skanticipate", "numpy", "scipy", "sklearn", "torch"}  # modules of theirs
_MADE_IN_PYTHON = 1 << 9  # CPython's flag of a class that no C code declares
_FIRST_SEEN = {}  # module name -> (its spec, hash of its file)


def surroundings(value):
    """What answers of an estimator depend on beside its parameters and the data.

    The module files of its classes that are not of this package or scikit-learn, with
    what they import of the user's own; versions; contents of the files it names. The
    same for all that `_state.describe` walks through. Not the device: it changes
    answers by rounding only.

    Returns
    -------
    found : dict
        Plain containers, which are equal as long as all that is.
    untold : list of str
        What no file tells, in words; then `found` does not tell one answer from
        another.
    """
    inside = list(parts(value))
    mros = {kind for own in set(map(type, inside)) for kind in own.__mro__}
    made = [kind for kind in mros if kind.__flags__ & _MADE_IN_PYTHON]
    untold = sorted(_name_of(kind) for kind in made if not _is_in_a_file(kind))
    if untold:
        return {}, [f"{name} is defined in no module file" for name in untold]
    foreign = {kind.__module__ for kind in made if not _is_known(kind)}
    code = _code_behind(foreign)
    distributions = {name for module in foreign for name in _distributions(module)}
    found = {
        "code": sorted(code.items()),
        "versions": versions(*_COMPUTING, *sorted(distributions)),
        "files": sorted(_files_of(inside).items()),
        "streams": [part.get_state() for part in inside if _is_stream(part)],
        "others": [part._depends_on() for part in inside if _tells_more(part)],
    }
    edited = [name for name, digest in code.items() if not _runs(name, digest)]
    return found, [f"{name} was edited since it was imported" for name in edited]


def file_hash(path):
    """Hash of the bytes of a file, which is read once as long as it stays as it is."""
    stat = os.stat(path)
    marks = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _read_hash(os.path.abspath(path), marks)


@cache
def _read_hash(path, marks):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(*names):
    """Version of each distribution; None where it is not installed.   -> dict."""
    return {name: _version(name) for name in names}


@cache
def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _distributions(module):
    """Distributions that a module may belong to, of the user's own modules none."""
    return _all_distributions().get(module.partition(".")[0], [])


@cache
def _all_distributions():
    return importlib.metadata.packages_distributions()


def _is_stream(part):
    return isinstance(part, np.random.RandomState)


def _tells_more(part):
    return hasattr(type(part), "_depends_on")


# ------------------------------------------------------------------------------- code


def _name_of(kind):
    return f"{kind.__qualname__} of {kind.__module__}"


def _is_known(kind):
    """Whether a class is of a library that its version tells, or of Python's own."""
    root = kind.__module__.partition(".")[0]
    if root in sys.stdlib_module_names:  # unless the user's file hides Python's
        return not _is_the_users_own(kind.__module__)
    return root in _KNOWN


def _is_in_a_file(kind):
    """Whether a class is the one that the file of its module defines."""
    found = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is not kind:  # local, overwritten, or of another process
        return False
    return _is_known(kind) or bool(_path_of(kind.__module__) and not _is_typed(kind))


def _is_typed(kind):
    """Whether methods were typed at a prompt or executed from a text."""
    methods = [
        unwrap(method)
        for name, method in vars(kind).items()
        if isfunction(method) and not name.startswith("__")  # as dataclasses' are
    ]
    codes = [method.__code__ for method in methods if isfunction(method)]
    return not all(os.path.isfile(code.co_filename) for code in codes)


def _path_of(module):
    """File of a module that was imported, or None."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return path if path and os.path.isfile(path) else None


def _code_behind(modules):
    """Hashes of the files of modules and of the user's own that they import.

    Parameters
    ----------
    modules : iterable of str
        Names of modules that have a file.

    Returns
    -------
    dict of str to str
    """
    found, waiting = {}, sorted(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            path = _path_of(module)
            found[module] = file_hash(path)
            if is_the_users(path) and path.endswith(".py"):
                waiting += filter(_is_the_users_own, _imports(module, path))
    return found


def _is_the_users_own(module):
    path = _path_of(module)
    return path is not None and is_the_users(path)


def _imports(module, path):
    """Names of what a module imports, and of what might be modules therein."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except SyntaxError:  # of an edit under way
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = _absolute(node, sys.modules[module].__package__ or "")
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _absolute(node, package):
    """Name of the module of a `from ... import`, "" where there cannot be one."""
    name = "." * node.level + (node.module or "")
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:  # a relative one in a script, which catches the error
        return ""


def _runs(module, digest):
    """Whether a module still is what its file holds, as far as we have seen."""
    spec = getattr(sys.modules[module], "__spec__", None)  # a new one if reloaded
    known, first = _FIRST_SEEN.get(module, (None, None))
    if first is None or known is not spec:
        _FIRST_SEEN[module] = spec, digest
        return True
    return first == digest


# ------------------------------------------------------------------------------ files


def _files_of(inside):
    """Hashes of files that are named anywhere in a value, and of those in folders.

    Folders count in foreign estimators only: with us and in scikit-learn they are
    places to write to, and a `LanguageTeacher` tells its own.
    """
    paths = {_as_path(part) for part in inside if _may_be_path(part)}
    for part in inside:
        if isinstance(part, BaseEstimator) and not _is_known(type(part)):
            named = filter(_may_be_path, state_of(part).values())
            for folder in filter(_is_folder, map(_as_path, named)):
                paths |= {str(path) for path in Path(folder).rglob("*")}
    return {path: file_hash(path) for path in paths if os.path.isfile(path)}


def _may_be_path(part):
    return isinstance(part, str | os.PathLike)


def _as_path(text):
    return os.path.expanduser(os.fsdecode(text))


def _is_folder(path):
    """Whether a text names a folder, and is no separator that looks like one."""
    name = os.path.basename(os.path.normpath(path))
    return name not in ("", ".", "..") and os.path.isdir(path)
