"""One vector for a whole text, from those of its tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from allyouneed.blocks.protocols import Sizes


def mean_pool(
    hidden: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "batch seq"] | None = None
) -> Float[Tensor, "batch d_model"]:
    """The mean over the real tokens of each row: a sentence's embedding (Reimers and Gurevych, arXiv:1908.10084).

    mask: True at real tokens. A row without any gives 0.
    """
    if mask is None:
        return hidden.mean(1)
    total = hidden.masked_fill(~mask[:, :, None], 0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class FirstTokenPooler:
    """tanh(W h + b), h the vector of a row's first real token: [CLS] (Devlin et al., arXiv:1810.04805, section 3.1)."""

    def build(self, sizes: Sizes) -> nn.Module:
        """A pooler of vectors of d_model channels."""
        return _FirstTokenPooler(sizes.d_model)


class _FirstTokenPooler(nn.Module):
    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)

    def forward(
        self, hidden: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "batch seq"] | None = None
    ) -> Float[Tensor, "batch d_model"]:
        """One vector a row."""
        return self.dense(_first(hidden, mask)).tanh()


@dataclass(frozen=True)
class FirstToken:
    """h itself, with nothing behind it (Karpukhin et al., arXiv:2004.04906, section 3.1); or W h + b of `dim` channels.

    dim: 0 for none.
    """

    dim: int = 0

    def build(self, sizes: Sizes) -> nn.Module:
        """A pooler of vectors of d_model channels."""
        return _FirstToken(sizes.d_model, self.dim)


class _FirstToken(nn.Module):
    def __init__(self, d_model: int, dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(d_model, dim) if dim else None

    def forward(
        self, hidden: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "batch seq"] | None = None
    ) -> Float[Tensor, "batch dim"]:
        """One vector a row."""
        first = _first(hidden, mask)
        return first if self.projection is None else self.projection(first)


def _first(
    hidden: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "batch seq"] | None
) -> Float[Tensor, "batch d_model"]:
    """The vector of each row's first real token."""
    return hidden[:, 0] if mask is None else hidden[torch.arange(len(hidden)), mask.int().argmax(1)]
