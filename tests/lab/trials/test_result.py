"""A trial's result must come back from JSON as it was, whatever numbers it holds."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.lab.trials.result import TrialResult, from_json, to_json

RESULT = TrialResult(
    trial="train",
    arm="rope",
    seed=3,
    measurements={"loss": 1.25, "per_item": [0.5, math.inf, -math.inf]},
    log=[{"step": 1, "loss": 2.5, "phase": "nan"}, {"step": 2, "loss": math.inf}],
    shown={"sample": "to be"},
    seconds=1.5,
    factors={"lr": "0.001"},
)


def test_a_result_survives_strict_json():
    text = json.dumps(RESULT.to_dict(), allow_nan=False)
    assert TrialResult.from_dict(json.loads(text)) == RESULT


def test_nan_comes_back_as_nan():
    assert math.isnan(from_json(json.loads(json.dumps(to_json({"loss": [math.nan]}), allow_nan=False)))["loss"][0])


def test_a_missing_field_is_an_error():
    values = RESULT.to_dict()
    del values["seed"]
    with pytest.raises(TypeError, match="seed"):
        TrialResult.from_dict(values)


NESTS = st.recursive(
    st.floats(allow_nan=False) | st.integers() | st.text() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda name: name != "float"), inner),
    max_leaves=10,
)


@given(NESTS)
def test_every_nest_survives(nest):
    assert from_json(json.loads(json.dumps(to_json(nest), allow_nan=False))) == nest
