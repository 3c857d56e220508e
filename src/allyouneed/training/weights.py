"""A model's weights by name: copied, and lent others for a while. What the averages of weights share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

Weights = dict[str, Float[Tensor, "..."]]
"""Tensors by parameter name, a tied parameter once; buffers are not among them."""


def copy_weights(model: nn.Module, device: str | None = None) -> Weights:
    """The weights as they are now, where they are or on `device`; later training does not change them."""
    return {name: parameter.detach().to(device=device, copy=True) for name, parameter in model.named_parameters()}


@contextmanager
def lent(model: nn.Module, weights: Weights) -> Iterator[None]:
    """Within the block the model has `weights`; afterwards its own again."""
    own = copy_weights(model)
    _put(weights, model)
    try:
        yield
    finally:
        _put(own, model)


@torch.no_grad()
def _put(weights: Weights, model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
