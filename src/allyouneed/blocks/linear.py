"""The linear map, and which product computes it.

Decoding one row multiplies every matrix by a single vector. For that a compiled loop is taken where there is one
(`kernels.one_vector`); PyTorch's product does all else, and the two are one function up to rounding.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.kernels.one_vector import one_vector

SMALLEST = 1 << 18  # entries of a matrix: smaller ones stay in the caches, where PyTorch is as fast


class Linear(nn.Linear):
    """x W^T + b."""

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch out"]:
        """Each vector's image."""
        return product(x, self.weight, self.bias)


def product(
    x: Float[Tensor, "*batch width"], weight: Float[Tensor, "out width"], bias: Float[Tensor, "out"] | None = None
) -> Float[Tensor, "*batch out"]:
    """x W^T + b."""
    compiled = one_vector() if _is_for_one_vector(x, weight) else None
    if compiled is None:
        return F.linear(x, weight, bias)
    y = compiled(weight, x.reshape(-1)).to(x.dtype).view(*x.shape[:-1], -1)
    return y if bias is None else y + bias


def _is_for_one_vector(x: Tensor, weight: Tensor) -> bool:
    return (
        x.numel() == x.shape[-1]
        and weight.numel() >= SMALLEST
        and weight.dtype in (torch.float32, torch.bfloat16)
        and x.dtype == weight.dtype
        and weight.device.type == "cpu"
        and weight.is_contiguous()
        and not torch.is_autocast_enabled("cpu")
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
    )
