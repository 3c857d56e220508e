"""Heads: from what leaves a stack to logits over the vocabulary.

A head is handed `unembed`, the product with the vocabulary's matrix, which the stack owns: it may be that of the
embedding (Press and Wolf, arXiv:1608.05859).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.norms import LayerNorm
from allyouneed.blocks.protocols import Sizes

Unembed = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LMHead:
    """The product with the vocabulary's matrix.

    bias: one number a token is added. scale: the vectors are multiplied by it first (T5 v1.0: 1 / sqrt(d_model)).
    """

    bias: bool = False
    scale: float | None = None

    def build(self, sizes: Sizes, vocab_size: int) -> nn.Module:
        """A head over vectors of d_model channels."""
        return _LMHead(vocab_size if self.bias else None, self.scale)


class _LMHead(nn.Module):
    def __init__(self, n_biases: int | None, scale: float | None) -> None:
        super().__init__()
        self.scale = scale
        self.bias = None if n_biases is None else nn.Parameter(torch.zeros(n_biases))

    def forward(self, hidden: Float[Tensor, "*batch d_model"], unembed: Unembed) -> Float[Tensor, "*batch vocab"]:
        """The logits."""
        logits = unembed(hidden if self.scale is None else self.scale * hidden)
        return logits if self.bias is None else logits + self.bias


@dataclass(frozen=True)
class MaskedLMHead:
    """BERT's: the vector through a layer and a norm, then the product, then one number a token (Devlin et al.,
    arXiv:1810.04805; as in its code)."""

    activation: Literal["gelu", "gelu_tanh", "relu", "silu"] = "gelu"

    def build(self, sizes: Sizes, vocab_size: int) -> nn.Module:
        """A head over vectors of d_model channels."""
        return _MaskedLMHead(sizes, vocab_size, ACTIVATIONS[self.activation])


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


class _MaskedLMHead(nn.Module):
    def __init__(self, sizes: Sizes, vocab_size: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.dense = nn.Linear(sizes.d_model, sizes.d_model)
        self.norm = LayerNorm().build(sizes)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden: Float[Tensor, "*batch d_model"], unembed: Unembed) -> Float[Tensor, "*batch vocab"]:
        """The logits."""
        return unembed(self.norm(self.activation(self.dense(hidden)))) + self.bias


@dataclass(frozen=True)
class NoHead:
    """For a stack that was trained without one, such as a sentence encoder."""

    def build(self, sizes: Sizes, vocab_size: int) -> nn.Module:
        """A head that refuses."""
        return _NoHead()


class _NoHead(nn.Module):
    def forward(self, hidden: Float[Tensor, "*batch d_model"], unembed: Unembed) -> Float[Tensor, "*batch vocab"]:
        """Raises ValueError."""
        raise ValueError("this model has no head and gives no logits: ask model.hidden(...) for its vectors")
