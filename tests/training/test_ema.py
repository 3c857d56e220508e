"""The average against its closed form, and its way in and out of a model."""

import pytest
import torch
from torch import nn

from allyouneed.training import EMA


def test_the_average_is_the_closed_form():
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    history = [3.0, -1.0, 4.0, 1.0, 5.0]
    model.weight.data.fill_(history[0])
    ema = EMA(model, 0.9)
    for step, value in enumerate(history[1:], start=1):
        model.weight.data.fill_(value)
        ema.update(step, model)
    n = len(history) - 1
    expected = 0.9**n * history[0] + sum(0.1 * 0.9 ** (n - k) * history[k] for k in range(1, n + 1))
    assert ema.weights()["weight"].item() == pytest.approx(expected, abs=1e-14)


def test_decay_zero_is_the_weights_themselves(tiny):
    model = tiny.TinyLM()
    ema = EMA(model, 0.0)
    model.norm.bias.data.normal_()
    ema.update(1, model)
    torch.testing.assert_close(ema.weights()["norm.bias"], model.norm.bias.detach())


def test_applied_lends_the_average_and_gives_the_weights_back_even_after_an_error(tiny):
    model = tiny.TinyLM()
    ema = EMA(model, 0.5)
    model.norm.bias.data.fill_(8.0)
    ema.update(1, model)
    with ema.applied(model):
        assert model.norm.bias.tolist() == [4.0] * 8
        assert model.head.weight is model.embedding.weight
    assert model.norm.bias.tolist() == [8.0] * 8
    with pytest.raises(RuntimeError, match="inside"), ema.applied(model):
        raise RuntimeError("inside")
    assert model.norm.bias.tolist() == [8.0] * 8


def test_a_saved_average_of_other_parameters_is_refused(tiny):
    ema = EMA(tiny.TinyLM(), 0.5)
    with pytest.raises(ValueError, match="weight"):
        ema.load_state_dict(EMA(nn.Linear(2, 2), 0.5).state_dict())


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_an_error(tiny, decay):
    with pytest.raises(ValueError, match="decay must lie"):
        EMA(tiny.TinyLM(), decay)
