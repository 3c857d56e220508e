"""The mean of the last snapshots: which they are, and its way in and out of a model."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from allyouneed.errors import UserError
from allyouneed.training import CheckpointAverage, fit


def after(history, average, model):
    """The average after the model's weight took these values, one a step."""
    for step, value in enumerate(history, start=1):
        model.weight.data.fill_(value)
        average.update(step, model)
    return average


def one_weight():
    return nn.Linear(1, 1, bias=False, dtype=torch.float64)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 4))
def test_it_is_the_mean_of_the_last_that_were_due(history, last, every):
    model = one_weight()
    average = after(history, CheckpointAverage(model, last, every), model)
    due = history[every - 1 :: every][-last:]
    if due:
        assert average.weights()["weight"].item() == pytest.approx(sum(due) / len(due), abs=1e-14)
    else:
        with pytest.raises(ValueError, match=f"the first snapshot is taken after step {every}"):
            average.weights()


def test_low_precision_weights_are_averaged_in_float32():
    model = one_weight().bfloat16()
    # 256 + 1 has no place in bf16, and a mean that is rounded on its way stays at 256 / 3.
    average = after([256.0, 1.0, 1.0], CheckpointAverage(model, last=3, every=1), model)
    assert average.weights()["weight"].item() == 86.0


def test_applied_lends_the_mean_and_gives_the_weights_back_even_after_an_error(tiny):
    model = tiny.TinyLM()
    average = CheckpointAverage(model, last=2, every=1)
    for step, value in enumerate([100.0, 2.0, 4.0], start=1):
        model.norm.bias.data.fill_(value)
        model.calls.fill_(step)
        average.update(step, model)
    with average.applied(model):
        assert model.norm.bias.tolist() == [3.0] * 8
        assert model.head.weight is model.embedding.weight
        assert model.calls == 3
    assert model.norm.bias.tolist() == [4.0] * 8
    with pytest.raises(RuntimeError, match="inside"), average.applied(model):
        raise RuntimeError("inside")
    assert model.norm.bias.tolist() == [4.0] * 8


def test_tied_weights_are_kept_once_and_buffers_not_at_all(tiny):
    model = tiny.TinyLM()
    average = CheckpointAverage(model, last=1, every=1)
    average.update(1, model)
    assert average.weights().keys() == {"embedding.weight", "norm.weight", "norm.bias"}


def test_a_saved_average_goes_on_as_the_one_it_was_taken_from():
    model, other = one_weight(), one_weight()
    average = after([1.0, 2.0, 3.0], CheckpointAverage(model, last=2, every=1), model)
    restored = after([50.0], CheckpointAverage(other, last=2, every=1), other)
    restored.load_state_dict(average.state_dict())
    after([7.0], average, model)
    assert restored.weights()["weight"].item() == 2.5
    after([9.0], restored, other)
    assert restored.weights()["weight"].item() == 6.0
    assert average.weights()["weight"].item() == 5.0


def test_a_saved_average_of_other_parameters_is_refused(tiny):
    model = one_weight()
    saved = after([1.0], CheckpointAverage(model, last=2, every=1), model).state_dict()
    with pytest.raises(ValueError, match=r"other parameters.*norm.bias"):
        CheckpointAverage(tiny.TinyLM(), last=2, every=1).load_state_dict(saved)


@pytest.mark.parametrize(("last", "every"), [(3, 1), (2, 2)])
def test_a_saved_average_that_was_taken_otherwise_is_refused_by_fit_too(tiny, tmp_path, last, every):
    def train(last, every):
        model = tiny.TinyLM()
        average = CheckpointAverage(model, last, every)
        stream = tiny.SelfPlay(model)
        hooks = {"after_step": [average.update], "keep": {"average": average}}
        fit(model, tiny.next_token, stream, max_steps=2, lr=0.1, dir=tmp_path, **hooks)

    train(2, 1)
    with pytest.raises(UserError, match=rf"the last 2 snapshots, one every 1 steps; this one of the last {last}, one"):
        train(last, every)


@pytest.mark.parametrize(("last", "every"), [(0, 1), (1, 0)])
def test_settings_out_of_range_are_errors(last, every):
    with pytest.raises(ValueError, match="last and every must be at least 1"):
        CheckpointAverage(one_weight(), last, every)
