import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Threads that wait for work leave the processor to the other tests.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Before scipy is imported, so that scikit-learn's array API checks run too.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import gc
import re
import traceback
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

collect_ignore = ["conftest.py"]  # no module: docs has one of the same name

HERE = Path(__file__).parent
OPTIONAL = {
    *("h5py", "huggingface_hub", "lmdb", "matplotlib", "pandas", "pooch", "rich"),
    *("onnx", "onnxruntime", "onnxscript", "tokenizers", "transformers"),
    *("accelerate", "dask", "distributed", "optuna", "optuna_integration"),
}
MISSING = {name for name in OPTIONAL if find_spec(name) is None}


def pytest_collection_modifyitems(items):
    reasons = {}
    if not torch.cuda.is_available():
        reasons["gpu"] = "there is no CUDA device"
    if not os.environ.get("SKANTICIPATE_TEST_DATA"):
        reasons["data"] = "SKANTICIPATE_TEST_DATA names no folder of real data"
    if not os.environ.get("SKANTICIPATE_TEST_LARGE"):
        reasons["large"] = "SKANTICIPATE_TEST_LARGE is not set"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):  # a folder may have the name of one
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for garbage in what comes after, and seldom: two million objects stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)
        gc.enable()


# --------------------------------------------- without the optional packages: skipped


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Skip a file of tests that imports an optional package that is not there."""
    report = yield
    said = re.search(r"No module named '(\w+)", str(report.longrepr))
    if report.failed and said and said[1] in MISSING:
        report.outcome = "skipped"
        report.longrepr = str(collector.path), 0, f"Skipped: needs {said[1]}"
    return report


def skip_for_want(error):
    """Skip a test that needs such a package, be it itself or as a library says.

    A package that a library imports without a word stays an error.
    """
    by_the_test = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    worded = isinstance(error.__cause__, ImportError)
    name = (error.__cause__ if worded else error).name
    if name in MISSING and (worded or HERE in by_the_test.parents):
        pytest.skip(f"needs {name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    try:
        return (yield)
    except ImportError as error:
        skip_for_want(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except ImportError as error:
        skip_for_want(error)
        raise
