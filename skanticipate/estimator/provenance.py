"""What an answer depends on beside data and parameters: code, files and versions."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from functools import cache
from importlib.machinery import PathFinder
from inspect import isfunction, unwrap
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skanticipate.data.files import file_marks
from skanticipate.data.warn import is_the_users
from skanticipate.estimator.reads import values_read
from skanticipate.estimator.state import (
    dropped_by,
    functions_in,
    functions_of,
    is_importable,
    parts,
    state_of,
)

# What fits are computed with: another version may draw other numbers.
_COMPUTING = ("numpy", "scipy", "scikit-learn", "torch")
_KNOWN = {"skanticipate", "numpy", "scipy", "sklearn", "torch"}  # modules of theirs
_MADE_IN_PYTHON = 1 << 9  # CPython's flag of a class that no C code declares
_FIRST_SEEN: dict = {}  # module name -> (its spec, hash of its file)


def surroundings(value):
    """What answers of an estimator depend on beside its parameters and the data.

    The module files of its classes that are not of this package or scikit-learn, with
    what they import of the user's own, and the values that they read of their modules
    and classes; versions of those and of what else they import, and of an installed
    package what its installer wrote of its files; contents of the files it names. The
    same for all that `state.describe` walks through. Not the device: it changes answers
    by rounding only. Not told are a file that was edited between its import and the
    first call, or where it is installed, if no class is defined there; modules that
    `importlib.import_module` finds by a text, and data files that a module of the
    user's reads when it is imported, unless a value holds what they say.

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
    functions = _functions_of(inside)
    untold = sorted(filter(None, map(_untold_of, [*made, *functions])))
    if untold:
        return {}, untold
    foreign = [f for f in [*made, *functions] if not _is_known(f)]
    code, imported = _code_behind({f.__module__ for f in foreign})
    distributions = {name for module in imported for name in _distributions(module)}
    found = {
        "code": sorted(code.items()),
        "values": sorted(values_read(foreign).items()),
        "versions": versions(*_COMPUTING, *sorted(distributions)),
        "installed": sorted({_installed(_root_of(f.__module__)) for f in foreign}),
        "files": sorted(_files_of(inside).items()),
        "streams": [part.get_state() for part in inside if _is_stream(part)],
        "others": [part._depends_on() for part in inside if _tells_more(part)],
        "beside": [_beside(part) for part in inside],
        "dtype": str(torch.get_default_dtype()),  # in which weights are drawn
    }
    edited = [name for name, digest in code.items() if not _runs(name, digest)]
    return found, [f"{name} was edited since it was imported" for name in edited]


def file_hash(path):
    """Hash of the bytes of a file, which is read once as long as it stays as it is."""
    return _read_hash(os.path.abspath(path), file_marks(path))


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
    return _all_distributions().get(_root_of(module), [])


@cache
def _all_distributions():
    return importlib.metadata.packages_distributions()


@cache
def _installed(root):
    """Hash of the hashes of a package's files that its installer wrote, or "".

    Quick beside reading the files, which are hundreds in a package such as pandas.
    """
    texts = [
        importlib.metadata.distribution(name).read_text("RECORD") or ""
        for name in _all_distributions().get(root, [])
    ]
    lines = [line for text in texts for line in text.splitlines()]
    # Not scripts, which name the place where they are installed.
    own = [n for n in lines if n.startswith((f"{root}/", f"{root}.")) and ",sha" in n]
    listed = "\n".join(sorted(own))
    return hashlib.sha256(listed.encode()).hexdigest() if own else ""


def _functions_of(inside):
    """Functions, or classes, that fits of some parts call.   -> list."""
    given = [
        f
        for part in inside
        if isinstance(part, BaseEstimator)
        for f in functions_of(part)
    ]
    return [inner for f in given for inner in functions_in(f)]


def _is_stream(part):
    return isinstance(part, np.random.RandomState)


def _tells_more(part):
    return hasattr(type(part), "_depends_on")


def _beside(part):
    """What `state.describe` does not tell of a part itself, or None."""
    if isinstance(part, np.ndarray):
        mask = part.mask if np.ma.isMaskedArray(part) else None
        return repr(part.dtype), mask  # names of fields
    if hasattr(part, "columns"):
        index, kinds = getattr(part, "index", ()), getattr(part, "dtypes", ())
        return [repr(v) for v in index], [repr(kind) for kind in kinds]
    if isinstance(part, BaseEstimator):
        return dropped_by(part)
    return None


# ------------------------------------------------------------------------------- code


def _name_of(kind):
    if not hasattr(kind, "__qualname__"):  # an object that can be called
        kind = type(kind)
    return f"{kind.__qualname__} of {kind.__module__}"


def _is_known(kind):
    """Whether a class is of a library that its version tells, or of Python's own."""
    root = _root_of(kind.__module__)
    if root in sys.stdlib_module_names:  # unless the user's file hides Python's
        return not _is_the_users_own(kind.__module__)
    return root in _KNOWN


def _untold_of(kind):
    """Why no file tells what a class does, in words, or None."""
    if not _is_in_a_file(kind):
        return f"{_name_of(kind)} is defined in no module file"
    if isinstance(kind, type) and _is_changed(kind):
        return f"a method of {_name_of(kind)} is defined in no module file of it"
    return None


def _is_in_a_file(kind):
    """Whether a class, or a function, is what its module defines, which has a file."""
    if not is_importable(kind):  # local, overwritten, or of another process
        return False
    return _is_known(kind) or _path_of(kind.__module__) is not None


def _is_changed(kind):
    """Whether methods were typed, executed from a text, or replaced at run time."""
    methods = [
        getattr(method, "__func__", method)  # of class methods and static ones
        for name, method in vars(kind).items()
        if not name.startswith("__")  # as dataclasses' are, from a text
    ]
    files = {unwrap(m).__code__.co_filename for m in methods if isfunction(unwrap(m))}
    if _is_known(kind):
        layers = {m.__code__.co_filename for m in methods if isfunction(m)}
        return any(map(is_the_users, files | layers))
    own = {os.path.realpath(_path_of(base.__module__) or "") for base in kind.__mro__}
    return not own.issuperset(map(os.path.realpath, filter(is_the_users, files)))


def _path_of(module):
    """File of a module, or None."""
    if module in sys.modules:
        path = getattr(sys.modules[module], "__file__", None)
    else:
        path = getattr(_spec_of(module), "origin", None)
    return path if path and os.path.isfile(path) else None


def _spec_of(module):
    """Where Python would find a module, or None. Nothing is imported to see it."""
    parent = module.rpartition(".")[0]
    try:
        if not parent:
            return importlib.util.find_spec(module) if module else None
        if parent in sys.modules:
            folders = getattr(sys.modules[parent], "__path__", None)
        else:
            folders = getattr(_spec_of(parent), "submodule_search_locations", None)
        return PathFinder.find_spec(module, folders) if folders else None
    except (ImportError, ValueError, AttributeError):
        return None


def _code_behind(modules):
    """Hashes of files of modules and of what they import, and names of all imports.

    Imports are followed into the user's own modules, and within the packages that the
    given modules are of, unless `_installed` tells of all files of such a package.

    Parameters
    ----------
    modules : set of str
        Names of modules that have a file.

    Returns
    -------
    code : dict of str to str
    imported : set of str
    """
    packages = {_root_of(module) for module in modules}
    code, imported = {}, set()
    waiting = {name for module in modules for name in _with_parents(module)}
    while waiting:
        module = waiting.pop()
        imported.add(module)
        path = _path_of(module)
        if path and (is_the_users(path) or _root_of(module) in packages):
            code[module] = digest = file_hash(path)
            if not is_the_users(path) and _installed(_root_of(module)):
                continue
            found = _imports(path, digest, _package_of(module))
            waiting |= {n for name in found for n in _with_parents(name)} - imported
    return code, imported


def _root_of(module):
    return module.partition(".")[0]


def _with_parents(module):
    """A dotted name, and those of the packages that it is in."""
    return accumulate(module.split("."), "{}.{}".format)


def _package_of(module):
    """Name of the package that a module's relative imports start from."""
    if module in sys.modules:
        return sys.modules[module].__package__ or ""
    return _spec_of(module).parent


def _is_the_users_own(module):
    path = _path_of(module)
    return path is not None and is_the_users(path)


@cache
def _imports(path, digest, package):
    """Names of what a file imports, and of what might be modules therein."""
    try:
        tree = ast.parse(Path(path).read_bytes() if path.endswith(".py") else b"")
    except SyntaxError:  # of an edit under way
        return frozenset()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = _absolute(node, package)
            found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _absolute(node, package):
    """Name of the module of a `from ... import`, "" where there cannot be one."""
    name = "." * node.level + (node.module or "")
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:  # a relative one in a script, which catches the error
        return ""


def _runs(module, digest):
    """Whether a module still is what its file holds, as far as we have seen."""
    if module not in sys.modules:  # it will be read when it is imported
        return True
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
                paths |= _files_below(folder)
    return {path: file_hash(path) for path in paths if os.path.isfile(path)}


def _files_below(folder):
    """Files of a folder and of those in it, of folders that are links too."""
    paths, entered = set(), set()
    for here, folders, names in os.walk(folder, followlinks=True):
        entered.add(os.path.realpath(here))
        paths |= {os.path.join(here, name) for name in names}
        # A link to a folder above would be followed for ever.
        folders[:] = [
            name
            for name in folders
            if os.path.realpath(os.path.join(here, name)) not in entered
        ]
    return paths


def _may_be_path(part):
    return isinstance(part, str | os.PathLike)


def _as_path(text):
    return os.path.expanduser(os.fsdecode(text))


def _is_folder(path):
    """Whether a text names a folder, and is no separator that looks like one."""
    name = os.path.basename(os.path.normpath(path))
    return name not in ("", ".", "..") and os.path.isdir(path)
