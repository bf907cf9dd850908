import numpy as np

from skanticipate.signals.labels import check_y_past


def test_check_y_past_keeps_python_values():
    assert check_y_past(None) is None
    column = check_y_past(["cut onion", None, -1, float("nan")])
    assert column.dtype == object
    assert column[:3].tolist() == ["cut onion", None, -1]
    given_array = np.array([1, 2])
    assert check_y_past(given_array) is given_array
