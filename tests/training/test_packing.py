"""What goes into a checkpoint comes out the same."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from allyouneed.training.packing import pack, unpack

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nests = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text().filter(lambda key: key[:1] != "$"), inner)
    ),
)


def there_and_back(nest):
    packed, tensors = pack(nest)
    return unpack(json.loads(json.dumps(packed)), load(save(tensors)))


@settings(deadline=None)
@given(nests)
def test_plain_nests_come_back_with_their_types(nest):
    back = there_and_back(nest)
    assert back == nest
    assert repr(back) == repr(nest)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_come_back_bit_for_bit(dtype):
    tensor = torch.arange(6).view(2, 3).to(dtype)
    back = there_and_back({"a": [tensor.T, tensor], "b": (tensor[0],), "scalar": torch.tensor(3.5)})
    assert torch.equal(back["a"][0], tensor.T)
    assert torch.equal(back["a"][1], tensor)
    assert torch.equal(back["b"][0], tensor[0])
    assert back["b"][0].dtype == dtype
    assert back["scalar"].shape == ()


def test_places_that_read_alike_do_not_overwrite_each_other():
    back = there_and_back({"a/b": torch.zeros(1), "a": {"b": torch.ones(1)}})
    assert (back["a/b"].item(), back["a"]["b"].item()) == (0.0, 1.0)


def test_numpy_arrays_and_scalars_and_infinities_come_back():
    back = there_and_back({"key": np.arange(3, dtype=np.uint32), "n": np.int64(4), "best": math.inf})
    assert back["key"].dtype == np.uint32
    assert back["key"].tolist() == [0, 1, 2]
    assert (back["n"], back["best"]) == (4, math.inf)


@pytest.mark.parametrize("nest", [{"a": [{1}]}, {"a": [object()]}, {"a": [{1: 2}]}, {"a": [{"$tensor": 2}]}])
def test_what_a_checkpoint_cannot_hold_is_named_by_its_place(nest):
    with pytest.raises(TypeError, match="at a/0"):
        pack(nest)
