"""The rules of the design that a machine can check."""

import ast
import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skanticipate

ROOT = Path(skanticipate.__file__).parent
SOURCES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(ROOT.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}

# A module imports only modules above it. Packages stand for all of their modules.
ORDER = [
    "_version",
    "_typing",
    "data",
    "losses",
    "metrics",
    "preprocessing",
    "priors",
    "networks",
    "terms",
    "training",
    "estimator",
    "signals",
    "teachers",
    "anticipators",
    "presets",
    "model_selection",
    "datasets",
    "plotting",
    "__init__",
]


def holds(rule):
    """Make a test of a rule: name of a module -> what offends in it."""

    def test():
        offenders = [f"{name}: {what}" for name in SOURCES for what in rule(name)]
        assert not offenders, "\n" + "\n".join(offenders)

    return test


@functools.cache
def nodes(name):
    return list(ast.walk(TREES[name]))


def modules_imported_by(name):
    """Modules of the library that a module names in an import, wherever it stands."""
    for node in nodes(name):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level > 0:
            continue  # has a test of its own
        elif isinstance(node, ast.ImportFrom):
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            library, _, path = target.partition(".")
            if library == "skanticipate":
                yield resolve(path)


def resolve(path):
    """Name of the file behind `a.b.thing`: `a.b`, or `a.b.__init__` for a package."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        for candidate in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
            if candidate in SOURCES:
                return candidate
    return "__init__"


def place(name):
    return ORDER.index(name.partition(".")[0])


@holds
def test_module_has_a_place_in_the_order(name):
    if name.partition(".")[0] not in ORDER:
        yield "name it in ORDER"


@holds
def test_no_import_is_relative(name):
    for node in nodes(name):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            yield f"line {node.lineno}"


@holds
def test_module_imports_only_modules_above_it(name):
    package = name.rpartition(".")[0]
    for imported in modules_imported_by(name):
        if package and imported.rpartition(".")[0] == package:
            if imported.endswith("__init__"):
                yield "imports its package"
        elif imported.partition(".")[0] != name.partition(".")[0]:
            if place(imported) >= place(name):
                yield f"imports {imported}"


def test_no_import_goes_in_a_circle():
    graph = {name: set(modules_imported_by(name)) for name in SOURCES}
    done = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for imported in graph[name]:
                visit(imported, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])


# ----------------------------------------------------------------- what is not used

FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "print",
    "torch.load",
    "torch.save",
    "torch.manual_seed",
    "torch.default_generator.manual_seed",
    "torch.cuda.manual_seed_all",
    "torch.seed",
    "torch.set_default_dtype",
    "torch.set_default_device",
    "nn.Dropout",
    "torch.nn.Dropout",
    "functional.dropout",
    "torch.dropout",
    "os.system",
    "warnings.simplefilter",
    "warnings.filterwarnings",
}
ALLOWED_CALLS = {
    ("estimator.base", "_report", "print"),
    # Of forked streams.
    ("training.runtime", "seeded_global_stream", "torch.default_generator.manual_seed"),
    ("training.runtime", "seeded_global_stream", "torch.cuda.manual_seed_all"),
}
OWN_STREAMS = {"Generator", "RandomState", "SeedSequence", "default_rng", "PCG64"}
FORBIDDEN_IMPORTS = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "subprocess"}
ALLOWED_IMPORTS = {"datasets._child": {"subprocess"}}


def dotted(node):
    """Name of what is called, as it is written: "torch.load"; "" if it is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def calls(name):
    """(function, dotted name, call) for each call of a module."""
    for function, node in within_functions(TREES[name]):
        if isinstance(node, ast.Call):
            yield function, dotted(node.func), node


def within_functions(tree, function=""):
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef) else function
        yield inside, node
        yield from within_functions(node, inside)


@holds
def test_nothing_is_executed_printed_or_drawn_from_a_global_stream(name):
    for function, called, node in calls(name):
        forbidden = called in FORBIDDEN_CALLS
        if forbidden and (name, function, called) not in ALLOWED_CALLS:
            yield f"line {node.lineno}: {called}"
        for prefix in ("np.random.", "numpy.random."):
            if called.startswith(prefix):
                if called.removeprefix(prefix) not in OWN_STREAMS:
                    yield f"line {node.lineno}: {called}"


@holds
def test_global_random_functions_are_not_imported(name):
    allowed = ALLOWED_IMPORTS.get(name, set())
    for node in nodes(name):
        if isinstance(node, ast.Import):
            roots = {alias.name.partition(".")[0] for alias in node.names}
            yield from roots & (FORBIDDEN_IMPORTS | {"random"}) - allowed
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = {alias.name for alias in node.names}
            yield from {node.module.partition(".")[0]} & FORBIDDEN_IMPORTS
            if node.module in ("numpy.random", "random"):
                yield from names - OWN_STREAMS
            if node.module in ("torch", "torch.nn"):
                yield from names & {"Dropout", "manual_seed"}


@holds
def test_dropout_is_ours_only(name):
    modules_of_torch = {"LSTM", "GRU", "RNN", "MultiheadAttention"}
    for _, called, node in calls(name):
        keywords = {keyword.arg for keyword in node.keywords}
        owner, _, last = called.rpartition(".")
        of_torch = owner.endswith("nn")
        if (
            (of_torch and last.startswith(("Transformer", "Dropout")))
            or (of_torch and last in modules_of_torch and "dropout" in keywords)
            or (last == "scaled_dot_product_attention" and "dropout_p" in keywords)
        ):
            yield f"line {node.lineno}: {called}"


@holds
def test_arrays_are_read_without_pickle(name):
    for _, called, node in calls(name):
        if called in ("np.load", "numpy.load"):
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if given.get("allow_pickle", "False") != "False":
                yield f"line {node.lineno}: {called}"


def test_import_leaves_packages_streams_and_threads_alone():
    """Packages that are optional or slow, random streams, numbers of threads."""
    optional = {"matplotlib", "gensim", "pooch", "pandas", "rich", "transformers"}
    optional |= {"onnx", "onnxscript", "torch._dynamo", "accelerate", "dask"}
    code = (
        # These import pandas and rich themselves, where they are installed.
        "import sys, torch, safetensors.numpy, sklearn.model_selection\n"
        "import numpy as np\n"
        "modules = set(sys.modules)\n"
        "before = torch.get_rng_state(), np.random.get_state()[1].copy()\n"
        "threads = torch.get_num_threads()\n"
        "import skanticipate\n"
        "assert torch.equal(torch.get_rng_state(), before[0])\n"
        "assert (np.random.get_state()[1] == before[1]).all()\n"
        "assert torch.get_num_threads() == threads\n"
        f"print(sorted({optional} & (set(sys.modules) - modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


# --------------------------------------------------------------------------- sizes


@holds
def test_file_has_at_most_400_lines(name):
    lines = len(SOURCES[name].read_text().splitlines())
    if lines > 400:
        yield lines


@holds
def test_body_of_a_function_has_at_most_40_lines(name):
    for node in nodes(name):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name == "__init__":  # of an estimator: a line for each parameter
                continue
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if lines > 40:
                yield f"{node.name} has {lines} lines"


@holds
def test_module_says_what_it_is_for(name):
    if name != "_version" and not ast.get_docstring(TREES[name]):
        yield "no docstring"


def test_repository_holds_only_what_is_written_by_hand():
    top = ROOT.parent
    if not (top / ".git").exists() or shutil.which("git") is None:
        pytest.skip("there is no git repository, or no git")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=top, capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    assert "pyproject.toml" in listed
    for path in map(Path, listed):
        made = {".venv", "__pycache__"} & set(path.parts)
        made |= {part for part in path.parts if part.endswith(".egg-info")}
        assert not made, path
        if (top / path).is_file():  # it may be deleted and not yet committed
            assert (top / path).stat().st_size <= 2**20, path


def test_public_names_are_there():
    names = skanticipate.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(skanticipate, name) for name in names)
