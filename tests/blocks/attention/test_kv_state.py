"""The key-value state: written in place, and true under every branching."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.blocks.attention import KVState
from allyouneed.blocks.attention.masks import Keys

BATCH, HEADS, DIM = 2, 3, 4
NONE = torch.zeros(1, dtype=torch.long)  # forgotten


def fresh():
    return KVState.empty(BATCH, HEADS, DIM, None, torch.float64)


def append(state, length, seed=0):
    k, v = torch.randn(2, BATCH, HEADS, length, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return state.append(k, v, Keys(torch.arange(state.used + length)[None], None, None, NONE)), (k, v)


@torch.no_grad()
def test_single_steps_write_into_one_buffer():
    state, _ = append(fresh(), 5)
    place = state.keys.data_ptr()
    for step in range(50):
        state, _ = append(state, 1, seed=step)
        assert state.keys.data_ptr() == place
    for step in range(50):
        state, _ = append(state, 1, seed=step)
    assert state.buffer.keys.shape[2] == 128  # doubled, once
    assert state.lengths.tolist() == [105, 105]


@torch.no_grad()
def test_going_back_and_on_again_writes_in_place():
    state, _ = append(fresh(), 5)
    snapshot, place = state.snapshot(), state.keys.data_ptr()
    for seed in range(5):
        state, _ = append(state, 3, seed)
        state = state.restore(snapshot)
    state, _ = append(state, 3)
    assert state.keys.data_ptr() == place


@settings(max_examples=60)
@given(st.data(), st.sampled_from([torch.no_grad, torch.enable_grad, torch.inference_mode]))
def test_every_state_stays_true_whatever_is_made_of_it(data, mode):
    """A tree of states, each known beside it as plain tensors."""
    nothing = torch.empty(BATCH, HEADS, 0, DIM, dtype=torch.float64)
    known = [(fresh(), nothing, nothing)]
    with mode():
        for seed in range(data.draw(st.integers(1, 12))):
            state, keys, values = known[data.draw(st.integers(0, len(known) - 1))]
            if data.draw(st.booleans()):
                rows = torch.tensor(data.draw(st.lists(st.integers(0, 1), min_size=BATCH, max_size=BATCH)))
                known.append((state.select(rows), keys[rows], values[rows]))
            else:
                state, (k, v) = append(state, data.draw(st.sampled_from([1, 3, 40])), seed)
                known.append((state, torch.cat((keys, k), 2), torch.cat((values, v), 2)))
            if len(known) > 2 and data.draw(st.booleans()):
                known.pop(data.draw(st.integers(0, len(known) - 1)))
            for state, keys, values in known:
                assert torch.equal(state.keys, keys)
                assert torch.equal(state.values, values)


def test_gradients_flow_to_what_was_cached():
    inputs = torch.randn(2, BATCH, HEADS, 3, DIM, requires_grad=True)
    state = fresh().append(*inputs, Keys(torch.arange(3)[None], None, None, NONE))
    state, _ = append(state, 2)
    state.keys.sum().backward()
    assert (inputs.grad[0] == 1).all()
    assert (inputs.grad[1] == 0).all()


def test_a_state_made_in_inference_mode_can_be_continued_outside():
    with torch.inference_mode():
        state, (k, _) = append(fresh(), 5)
    with torch.no_grad():
        longer, (more, _) = append(state, 1)
    assert torch.equal(longer.keys, torch.cat((k, more), 2))


def test_lengths_count_valid_tokens():
    valid = torch.tensor([[True, True], [False, True]])
    k = torch.zeros(BATCH, HEADS, 2, DIM)
    state = fresh().append(k, k, Keys(torch.arange(2)[None], valid, None, NONE))
    assert state.lengths.tolist() == [2, 1]
    assert state.select(torch.tensor([1, 1])).lengths.tolist() == [1, 1]


def test_the_type_of_the_cache_is_that_of_the_keys():
    with torch.no_grad():
        k = torch.zeros(BATCH, HEADS, 2, DIM, dtype=torch.bfloat16)
        state = fresh().append(k, k, Keys(torch.arange(2)[None], None, None, NONE))
    assert state.keys.dtype == torch.bfloat16


@pytest.mark.parametrize("length", [1, 63, 64, 65])
def test_a_long_prompt_fits_at_once(length):
    with torch.no_grad():
        state, (k, _) = append(fresh(), length)
    assert torch.equal(state.keys, k)
