"""What the parity tests share: a reference that keeps float64, and weights that hide nothing."""

import math
from contextlib import contextmanager

import pytest
import torch


@pytest.fixture
def in_float64(monkeypatch):
    """Inside `with in_float64():` the reference's casts to float32 are casts to float64, at its making too."""

    @contextmanager
    def patched():
        with monkeypatch.context() as patch:
            patch.setattr(torch, "float32", torch.float64)
            patch.setattr(torch, "float", torch.float64)
            patch.setattr(torch.Tensor, "float", torch.Tensor.double)
            yield

    return patched


@pytest.fixture
def loud():
    """Draws the weights of a reference so large that a wrong rotation, scale or mask cannot hide."""

    @torch.no_grad()
    def draw(module, seed=0):
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in module.named_parameters():
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if parameter.ndim > 1:
                parameter.copy_(values * 2 / math.sqrt(parameter.shape[1]))
            else:
                parameter.copy_(values / 2 + (1 if "norm" in name and name.endswith("weight") else 0))
        return module.eval()

    return draw


@pytest.fixture
def assert_parity():
    """Equal to 1e-10 of the largest value there is: float64 leaves five digits more than that."""

    def check(ours, theirs, what=""):
        assert ours.shape == theirs.shape, what
        difference = float((ours - theirs).detach().abs().max())
        assert difference <= 1e-10 * max(1.0, float(theirs.detach().abs().max())), f"{what}: {difference}"

    return check
