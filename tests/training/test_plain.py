import json
import math
from collections import OrderedDict

import numpy as np
import pytest
import torch

from skanticipate.training.plain import as_plain, from_plain


def there_and_back(value):
    tensors = {}
    tree = json.loads(json.dumps(as_plain(value, tensors), allow_nan=False))
    return from_plain(tree, tensors)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        "text",
        1e-310,
        0.1 + 0.2,
        -math.inf,
        [1, (2, [3.5])],
        {"a": {0: None, 1: (False,)}},
        {"float": "text", "dict": {}},
    ],
)
def test_plain_values_come_back_as_they_were(value):
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)
    assert there_and_back([value]) == [value]


def test_nan_comes_back():
    assert math.isnan(there_and_back({"loss": math.nan})["loss"])


def test_numbers_of_numpy_and_other_mappings_become_those_of_python():
    found = there_and_back(OrderedDict(a=np.float32(0.1), b=np.int64(3)))
    assert found == {"a": float(np.float32(0.1)), "b": 3}
    assert type(found["a"]) is float


@pytest.mark.parametrize(
    "dtype", "float64 float32 float16 bfloat16 int64 int32 uint8 bool".split()
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_tensors_come_back_to_the_bit(dtype, shape):
    tensor = (torch.rand(shape) * 9).to(getattr(torch, dtype))
    found = there_and_back({"a": [tensor]})["a"][0]
    assert found.dtype == tensor.dtype
    assert torch.equal(found, tensor)


def test_tensors_in_another_order_of_memory_and_with_gradients():
    tensor = torch.nn.Parameter(torch.rand(3, 4).t())
    assert torch.equal(there_and_back(tensor), tensor.detach())


def test_what_cannot_be_kept_is_named():
    with pytest.raises(TypeError, match="a function cannot be kept"):
        as_plain({"closure": [there_and_back]}, {})
