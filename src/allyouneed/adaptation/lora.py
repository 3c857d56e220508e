"""LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., 2021, arXiv:2106.09685).

The trained weights stay as they are; beside each chosen matrix a product of two thin ones learns what to add:

    h = W0 x + scale * B A x,    scale = alpha / rank

A starts at random and B at 0, so training starts from the model itself, and on the first step only B has a gradient.
Afterwards W0 + scale * B A can take the place of W0: the adapted model then costs what the model did.

    code      paper     section
    rank      r         4.1
    alpha     alpha     4.1 (scale = alpha / r; Kalajdzievski, arXiv:2312.03732: alpha / sqrt(r))
    a         A         4.1, (rank, width)
    b         B         4.1, (out, rank)
    weight    W0        4.1
    targets             4.2: W_q and W_v in the paper's experiments
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.initial import GeneratorFor, fill_normal

ALL_LINEAR = ("*.sublayers.*",)
"""Every linear of every mixer and feed-forward: what later practice found to be better than queries and values."""

Scaling = Literal["alpha/rank", "alpha/sqrt(rank)"]


@dataclass(frozen=True)
class Lora:
    """Updates of low rank beside linears and embeddings.

    targets: patterns of module names. The paper's choice: queries and values.
    dropout: the rate on what enters A; the path through the weight is never dropped.
    scaling: the paper's; or by sqrt(rank), under which the size of the update does not shrink as the rank grows.

    Raises ValueError for values out of range.
    """

    rank: int = 8
    alpha: float = 8.0
    dropout: float = 0.0
    targets: Sequence[str] = ("*.mixer.q", "*.mixer.v")
    scaling: Scaling = "alpha/rank"

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        if isinstance(self.targets, str) or not self.targets:
            raise ValueError(f"targets must be patterns of module names, at least one; got {self.targets!r}")

    def divisor(self, rank: int) -> float:
        """What alpha is divided by at a rank."""
        return rank if self.scaling == "alpha/rank" else math.sqrt(rank)

    def fits(self, module: nn.Module) -> bool:
        """Linears and embeddings."""
        return isinstance(module, nn.Linear | nn.Embedding)

    def build(self, module: nn.Module) -> "LowRank":
        """The low-rank branch of a linear or an embedding, in its precision, float32 if that is higher."""
        kind = LowRankEmbedding if isinstance(module, nn.Embedding) else LowRank
        weight: Any = module.weight
        factors = {"device": weight.device, "dtype": torch.promote_types(weight.dtype, torch.float32)}
        return kind(weight.shape, self, **factors)


class LowRank(nn.Module):
    """scale * B A x, beside a linear with a weight (out, width)."""

    def __init__(self, shape: torch.Size, config: Lora, **factors: Any) -> None:
        super().__init__()
        out, width = shape
        self.config = config
        self.a = nn.Parameter(torch.empty(config.rank, width, **factors))
        self.b = nn.Parameter(torch.zeros(out, config.rank, **factors))
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    @property
    def scale(self) -> float:
        """What the product is multiplied by."""
        return self.config.alpha / self.config.divisor(self.config.rank)

    @torch.no_grad()
    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """A uniform in +-1/sqrt(width), B 0: as the authors' code has it. The paper says a Gaussian."""
        values = torch.rand(self.a.shape, generator=generator_for("a"), dtype=torch.float32, device="cpu")
        self.a.copy_((2 * values - 1) / math.sqrt(self.a.shape[1]))
        nn.init.zeros_(self.b)

    def share(self, first: "LowRank") -> None:
        """Have the same A."""
        self.a = first.a

    def forward(self, x: Float[Tensor, "*batch width"], y: Float[Tensor, "*batch out"]) -> Float[Tensor, "*batch out"]:
        """y + scale * B A dropout(x)."""
        narrow = F.linear(self.dropout(x.to(self.a.dtype)), self.a)
        return y + F.linear(narrow, self.scale * self.b)

    def fold(self, weight: Float[Tensor, "out width"], sign: int) -> None:
        """Add sign * scale * B A; computed in the branch's own precision, and rounded to the weight's once."""
        weight.copy_(weight + sign * self.scale * (self.b @ self.a))


class LowRankEmbedding(LowRank):
    """The same beside an embedding (vocab, dim), with the roles reversed: what a token picks out is a column of A,
    which starts at 0, and B starts from N(0, 1)."""

    def __init__(self, shape: torch.Size, config: Lora, **factors: Any) -> None:
        super().__init__(torch.Size((shape[1], shape[0])), config, **factors)

    @torch.no_grad()
    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """A 0, B from N(0, 1)."""
        nn.init.zeros_(self.a)
        fill_normal(self.b, 1.0, generator_for("b"))

    def forward(self, x: Int[Tensor, "*batch"], y: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """y + scale * B A[:, x]; nothing is dropped."""
        return y + F.linear(F.embedding(x, self.a.T), self.scale * self.b)

    def fold(self, weight: Float[Tensor, "vocab dim"], sign: int) -> None:
        """Add sign * scale * (B A)^T."""
        weight.copy_(weight + sign * self.scale * (self.b @ self.a).T)
