"""Normalisation of each token's vector: LayerNorm (Ba et al., arXiv:1607.06450) and RMSNorm (Zhang and
Sennrich, arXiv:1910.07467). Gains start at 1, biases at 0; epsilon is `sizes.norm_eps`."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.protocols import Sizes


@dataclass(frozen=True)
class LayerNorm:
    """gain * (x - mean(x)) / sqrt(var(x) + eps) + bias, over the channels; the variance is the biased one."""

    bias: bool = True

    def build(self, sizes: Sizes) -> nn.Module:
        """A norm over d_model channels."""
        return nn.LayerNorm(sizes.d_model, eps=sizes.norm_eps, bias=self.bias)


@dataclass(frozen=True)
class RMSNorm:
    """gain * x / sqrt(mean(x^2) + eps), over the channels: LayerNorm without the centring and the bias."""

    def build(self, sizes: Sizes) -> nn.Module:
        """A norm over d_model channels."""
        return RootMeanSquareNorm(sizes.d_model, sizes.norm_eps)


class RootMeanSquareNorm(nn.Module):
    """RMSNorm in the order of casts that checkpoints were trained with.

    The division is done in float32 at least, its result cast to the input's precision, and only then multiplied
    by the gain; `torch.nn.RMSNorm` multiplies first, which in bfloat16 gives other numbers.
    """

    def __init__(self, d_model: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        """Each vector over its root mean square, times the gain."""
        exact = torch.promote_types(x.dtype, torch.float32)
        if x.dtype == exact:  # nothing is cast: one fused call
            return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)
        return self.weight * F.rms_norm(x.to(exact), self.weight.shape, eps=self.eps).to(x.dtype)
