"""The product with one vector: the compiled loop is PyTorch's product, and is what a step of decoding runs."""

import importlib.util

import pytest
import torch
from torch.nn import functional as F

from allyouneed.blocks import Rope, linear
from allyouneed.blocks.linear import Linear, product
from allyouneed.kernels.one_vector import one_vector
from allyouneed.models import Decoder, DecoderConfig

ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2**-8}


@pytest.fixture
def calls(monkeypatch):
    """The matrices that the compiled loop is given."""
    kernel, seen = linear.one_vector(), []
    assert kernel is not None  # numba comes with the dev extra
    monkeypatch.setattr(linear, "one_vector", lambda: lambda weight, x: seen.append(weight.shape) or kernel(weight, x))
    return seen


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("shape", [(512, 512), (1, 2**18), (2**18, 1), (1031, 257)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_pytorchs_product(dtype, shape, with_bias, calls):
    generator = torch.Generator().manual_seed(0)
    weight, x, bias = (torch.randn(size, generator=generator).to(dtype) for size in (shape, (1, 1, shape[1]), shape[0]))
    bias = bias if with_bias else None
    with torch.inference_mode():
        y = product(x, weight, bias)
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    assert calls == [shape]
    assert y.dtype == dtype
    assert y.shape == (1, 1, shape[0])
    assert (y - exact).abs().max() <= 2 * ROUNDING[dtype] * exact.abs().max()


def matrix(**options):
    return torch.randn(512, 512, **options)


@pytest.mark.parametrize(
    "what",
    [
        lambda: product(torch.randn(2, 512), matrix()),
        lambda: product(torch.randn(1, 511), torch.randn(512, 511)),
        lambda: product(torch.randn(1, 512).double(), matrix().double()),
        lambda: product(torch.randn(1, 512), matrix(requires_grad=True)),
        lambda: product(torch.randn(1, 512, requires_grad=True), matrix()),
        lambda: product(torch.randn(1, 512), matrix().T),
    ],
    ids=["two rows", "small", "float64", "a gradient for it", "a gradient for the vector", "turned"],
)
def test_where_it_is_not_taken(what, calls):
    what()
    assert calls == []


def test_not_under_autocast_and_not_without_numba(calls, monkeypatch):
    with torch.inference_mode():
        with torch.autocast("cpu"):
            assert product(torch.randn(1, 512), matrix()).dtype == torch.bfloat16
        monkeypatch.setattr(linear, "one_vector", lambda: None)
        x, weight = torch.randn(1, 512), matrix()
        assert torch.equal(product(x, weight), F.linear(x, weight))
    assert calls == []


def test_numba_may_be_missing(monkeypatch):
    one_vector.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    try:
        assert one_vector() is None
    finally:
        one_vector.cache_clear()


def test_gradients_are_those_of_a_linear():
    layer = Linear(512, 512).double()
    x = torch.randn(1, 512, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    assert torch.allclose(x.grad[0], layer.weight.detach().sum(0), atol=1e-12)


def test_a_step_of_one_row_runs_it(calls):
    config = DecoderConfig(vocab_size=600, d_model=512, n_layers=1, n_heads=4, d_ff=1024, positions=Rope())
    model = Decoder(config).requires_grad_(False)
    tokens = torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        _, state = model.step(tokens[:, :2], model.new_state(1))
        assert calls == [(600, 512)]  # of the prompt only the last vector meets the head
        calls.clear()
        logits, _ = model.step(tokens[:, 2:], state)
    q_k_v_out, up, down, head = [(512, 512)] * 4, (1024, 512), (512, 1024), (600, 512)
    assert calls == [*q_k_v_out, up, down, head]
    assert torch.allclose(logits, model(tokens)[:, -1], atol=1e-4)
