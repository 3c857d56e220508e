"""What the tests of attention share: a look at which kernel is called, and with what."""

import pytest
from torch.nn import functional as F


@pytest.fixture
def fused(monkeypatch):
    """The keyword arguments of every call of PyTorch's fused attention."""
    calls, original = [], F.scaled_dot_product_attention

    def spy(*args, **kwargs):
        calls.append(kwargs)
        return original(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    return calls
