import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before scipy is imported, so that scikit-learn's array API checks run too.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch

torch.set_num_threads(1)

collect_ignore = ["conftest.py"]  # no module: docs has one of the same name


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
