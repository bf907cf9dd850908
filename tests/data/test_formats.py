"""What the first bytes of a file tell of its format."""

import pickle

import numpy as np
import pytest

from skanticipate.data.formats import foreign_format, foreign_text


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value", [np.ones(9, "f4"), [1.0, 2.0], {"feat": np.ones(3)}, (1.5, 2.0), 48]
)
def test_pickles_are_recognized(value, protocol):
    if protocol > 1 or isinstance(value, np.ndarray | list | dict):
        assert foreign_format(pickle.dumps(value, protocol)) == "a Python pickle"


def test_numbers_of_a_frame_begin_like_no_format():
    rng = np.random.default_rng(0)
    for scale in (0, 1e-3, 1, 1e4):
        for values in (scale * rng.normal(size=(2000, 8)), scale * np.ones((1, 8))):
            for dtype in ("f2", "f4", "f8", ">f4"):
                for row in values.astype(dtype):
                    assert foreign_format(row.tobytes()) is None


def test_text_in_utf8_is_not_foreign():
    for text in ("cut 1 2", "\ufeffcut 1 2", "crème brûlée 1", "切る 1 2"):
        assert foreign_text(text.encode()) is None
