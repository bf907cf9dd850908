import json
import subprocess
import sys

import numpy as np
import pytest

# 1600 clips of 40 steps and 800 channels: 205 MB
SHAPE = (1600, 40, 800)
SEARCH = """
import json, sys
import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from skanticipate import LSTM, RowView, SmoothedAnticipator

def status(name):
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return 1024 * int(line.split()[1])

torch.set_num_threads(1)
path, form = sys.argv[1:]
clips = np.load(path, mmap_mode="r")
y = np.arange(len(clips)) % 3
model = SmoothedAnticipator(LSTM(4), max_epochs=1, batch_size=32, random_state=0)
small = np.zeros((64, 4, 8), np.float32)
model.fit(small, y[:64]).predict(small)  # everything is imported
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak so far
before = status("VmRSS:")
search = GridSearchCV(model, {"smoothing": [0.1]}, cv=2, error_score="raise")
search.fit(RowView(clips) if form == "view" else clips, y)
print(json.dumps((status("VmHWM:") - before) / clips.nbytes))
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clips.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, SHAPE)
    rng = np.random.default_rng(0)
    for start in range(0, len(array), 100):
        array[start : start + 100] = rng.random((100, *SHAPE[1:]), np.float32)
    array.flush()
    del array
    yield path
    path.unlink()


def added_memory(path, form):
    """What a search adds to the memory of its process, as a share of the array."""
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(path), form],
        capture_output=True,
        text=True,
        check=False,
    )
    if "clear_refs" in done.stderr:
        pytest.skip("this system does not tell the peak of a process's memory")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_search_over_a_row_view_of_a_memory_map_copies_nothing(clips):
    assert added_memory(clips, "view") < 0.2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_search_over_a_plain_memory_map_copies_its_folds(clips):
    # why RowView exists: scikit-learn slices training and test rows into memory
    assert added_memory(clips, "map") > 0.8
