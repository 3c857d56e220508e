"""Normalisation of each token's vector: LayerNorm (Ba et al., arXiv:1607.06450) and RMSNorm (Zhang and
Sennrich, arXiv:1910.07467). Gains start at 1, biases at 0; epsilon is `sizes.norm_eps`."""

from dataclasses import dataclass

from torch import nn

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
        return nn.RMSNorm(sizes.d_model, eps=sizes.norm_eps)
