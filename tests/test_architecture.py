"""The rules of the design that a machine can check."""

import ast
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
MODULES = pytest.mark.parametrize("name", SOURCES)


def modules_imported_by(name):
    """Modules of the library that a module names in an import, wherever it stands."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
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


@MODULES
def test_module_has_a_place_in_the_order(name):
    assert name.partition(".")[0] in ORDER


@MODULES
def test_module_imports_only_modules_above_it(name):
    package = name.rpartition(".")[0]
    for imported in modules_imported_by(name):
        if package and imported.rpartition(".")[0] == package:
            assert not imported.endswith("__init__"), f"{name} imports its package"
        elif imported.partition(".")[0] != name.partition(".")[0]:
            assert place(imported) < place(name), f"{name} imports {imported}"


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


@MODULES
def test_nothing_is_executed_printed_or_drawn_from_a_global_stream(name):
    for function, called, node in calls(name):
        where = f"{name}, line {node.lineno}: {called}"
        if (name, function, called) not in ALLOWED_CALLS:
            assert called not in FORBIDDEN_CALLS, where
        for prefix in ("np.random.", "numpy.random."):
            if called.startswith(prefix):
                assert called.removeprefix(prefix) in OWN_STREAMS, where


@MODULES
def test_global_random_functions_are_not_imported(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            roots = {alias.name.partition(".")[0] for alias in node.names}
            allowed = ALLOWED_IMPORTS.get(name, set())
            assert not roots & (FORBIDDEN_IMPORTS | {"random"}) - allowed, name
        elif isinstance(node, ast.ImportFrom):
            assert node.module.partition(".")[0] not in FORBIDDEN_IMPORTS, name
            if node.module in ("numpy.random", "random"):
                assert {alias.name for alias in node.names} <= OWN_STREAMS, name
            if node.module in ("torch", "torch.nn"):
                assert not {a.name for a in node.names} & {"Dropout", "manual_seed"}


@MODULES
def test_dropout_is_ours_only(name):
    modules_of_torch = {"LSTM", "GRU", "RNN", "MultiheadAttention"}
    for _, called, node in calls(name):
        keywords = {keyword.arg for keyword in node.keywords}
        owner, _, last = called.rpartition(".")
        if owner.endswith("nn") and last.startswith(("Transformer", "Dropout")):
            pytest.fail(f"{name}, line {node.lineno}: {called}")
        if owner.endswith("nn") and last in modules_of_torch:
            assert "dropout" not in keywords, f"{name}, line {node.lineno}"
        if last == "scaled_dot_product_attention":
            assert "dropout_p" not in keywords, f"{name}, line {node.lineno}"


@MODULES
def test_arrays_are_read_without_pickle(name):
    for _, called, node in calls(name):
        if called in ("np.load", "numpy.load"):
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert given.get("allow_pickle", "False") == "False"


def test_import_leaves_optional_and_slow_packages_alone():
    optional = {"matplotlib", "gensim", "pooch", "pandas", "rich", "transformers"}
    optional |= {"onnx", "onnxscript", "torch._dynamo"}
    code = (
        # These import pandas and rich themselves, where they are installed.
        "import sys, torch, safetensors.numpy, sklearn.model_selection\n"
        "before = set(sys.modules)\n"
        "import skanticipate\n"
        f"print(sorted({optional} & (set(sys.modules) - before)))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


def test_import_leaves_the_random_streams_and_threads_alone():
    code = (
        "import numpy as np, torch\n"
        "before = torch.get_rng_state(), np.random.get_state()[1].copy()\n"
        "threads = torch.get_num_threads()\n"
        "import skanticipate\n"
        "assert torch.equal(torch.get_rng_state(), before[0])\n"
        "assert (np.random.get_state()[1] == before[1]).all()\n"
        "assert torch.get_num_threads() == threads\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --------------------------------------------------------------------------- sizes


@MODULES
def test_file_has_at_most_400_lines(name):
    assert len(SOURCES[name].read_text().splitlines()) <= 400


@MODULES
def test_body_of_a_function_has_at_most_40_lines(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name == "__init__":  # of an estimator: a line for each parameter
                continue
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 40, f"{name}.{node.name}: {lines} lines"


@MODULES
def test_module_says_what_it_is_for(name):
    if name != "_version":
        assert ast.get_docstring(TREES[name])


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
