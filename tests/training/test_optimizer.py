"""Which parameters decay."""

import pytest
import torch
from torch import nn

from allyouneed.blocks import Mamba, NoPositions
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.training import adamw


def test_matrices_decay_and_vectors_do_not():
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 3))
    groups = adamw(model, lr=0.1, weight_decay=0.3).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    expected = {"0.weight": 0.3, "1.weight": 0.0, "1.bias": 0.0, "2.weight": 0.3, "2.bias": 0.0}
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == expected


def test_decay_shrinks_a_matrix_without_gradient_by_lr_times_decay():
    model = nn.Linear(2, 2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = adamw(model, lr=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model.weight, before["weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias, before["bias"])


def test_eps_bounds_the_step_of_a_tiny_gradient():
    model = nn.Linear(1, 1, bias=False)
    optimizer = adamw(model, lr=1.0, weight_decay=0.0, eps=1e-4)
    before = model.weight.item()
    model.weight.grad = torch.full_like(model.weight, 1e-4)
    optimizer.step()
    assert before - model.weight.item() == pytest.approx(1e-4 / (1e-4 + 1e-4), rel=1e-5)


def test_a_tied_weight_is_one_parameter(tiny):
    model = tiny.TinyLM()
    assert sum(len(group["params"]) for group in adamw(model, lr=0.1).param_groups) == 3


def test_a_model_with_nothing_to_train_is_an_error():
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="Linear has no parameter that requires a gradient"):
        adamw(model, lr=0.1)


def test_what_a_block_exempts_does_not_decay():
    model = Decoder(DecoderConfig(vocab_size=5, d_model=8, n_layers=1, positions=NoPositions(), mixer=Mamba(d_state=4)))
    mixer = model.layers[0].sublayers["mixer"]
    decaying, other = adamw(model, lr=1e-3).param_groups
    assert mixer.A_log.ndim == 2
    assert any(p is mixer.A_log for p in other["params"])
    assert any(p is mixer.in_proj.weight for p in decaying["params"])
