"""Evaluation is the same whenever it is asked, and leaves no trace."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from allyouneed.objectives import Loss
from allyouneed.training import evaluate


def noisy_squares(model, batch):
    noisy = model(batch) + torch.randn(batch.shape)
    return Loss(noisy.square().sum(), batch.numel())


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))


def test_the_same_weights_and_seed_give_the_same_loss_and_another_seed_does_not(model):
    batches = [torch.ones(4, 3), torch.zeros(2, 3)]
    first = evaluate(model, noisy_squares, batches)
    torch.rand(7)
    assert evaluate(model, noisy_squares, batches) == first
    assert evaluate(model, noisy_squares, batches, seed=1) != first


def test_generators_modes_and_buffers_are_left_as_they_were(model):
    model[1].eval()
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].tolist(), random.getstate()
    buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
    evaluate(model, noisy_squares, [torch.ones(4, 3)])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == before[1]
    assert random.getstate() == before[2]
    assert [module.training for module in model] == [True, False, True]
    assert all(torch.equal(tensor, buffers[name]) for name, tensor in model.named_buffers())


def test_the_mean_is_over_items_not_over_batches():
    model = nn.Linear(1, 1)

    def sums(model, batch):
        return Loss(batch.sum(), batch.numel())

    assert evaluate(model, sums, [torch.ones(9), torch.full((1,), 11.0)]) == 2.0


def test_no_gradient_is_recorded(model):
    def objective(model, batch):
        assert not torch.is_grad_enabled()
        assert not model.training
        return Loss(model(batch).sum(), 1)

    evaluate(model, objective, [torch.ones(2, 3)])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_nothing_to_score_is_an_error(model):
    with pytest.raises(ValueError, match="score nothing"):
        evaluate(model, noisy_squares, [])


def test_the_modes_come_back_after_an_error(model):
    def broken(model, batch):
        raise RuntimeError("objective")

    with pytest.raises(RuntimeError, match="objective"):
        evaluate(model, broken, [torch.ones(2, 3)])
    assert model.training
