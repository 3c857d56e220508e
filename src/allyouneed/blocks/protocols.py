"""What the parts of a stack ask of one another: the shapes that a new block has to fit.

A block's config is a frozen dataclass in the home of its idea, and builds the block:

    positions    .build(sizes) -> PositionScheme
    norm         .build(sizes) -> nn.Module, x -> x
    mixer        .build(sizes, positions=scheme) -> Sublayer
    feed-forward .build(sizes) -> Sublayer
    residual     .build(sizes, sublayers, norm) -> Sublayer whose state is the tuple of its sublayers' states
    head         .build(sizes, vocab_size) -> nn.Module, (hidden, unembed) -> logits
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from allyouneed.blocks.context import Context


@dataclass(frozen=True)
class Sizes:
    """What a block may know of the stack that it is built for.

    dropout: the rate on embeddings and on what each sublayer adds to the residual stream; attention
    probabilities are never dropped.
    """

    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    d_ff: int
    max_seq_len: int
    norm_eps: float
    dropout: float


@runtime_checkable
class State(Protocol):
    """What a sublayer keeps of the tokens it has read. Reading more gives a new state; this one stays true."""

    @property
    def lengths(self) -> Int[Tensor, "batch"]:
        """Valid tokens read, row by row."""
        ...

    def select(self, rows: Int[Tensor, "rows"]) -> "State":
        """The state of the given rows, in that order, repeated where `rows` repeats them."""
        ...

    def snapshot(self) -> Any:
        """Something small from which `restore` finds the way back to this moment."""
        ...

    def restore(self, snapshot: Any) -> "State":
        """The state as it was at `snapshot`, giving up what was read since."""
        ...


@runtime_checkable
class Sublayer(Protocol):
    """A mixer or a feed-forward: both have this one shape, because either may keep a state or record losses."""

    def new_state(self, batch_size: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Any:
        """The state before the first token; None for a sublayer without memory."""
        ...

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: Any = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], Any]:
        """What to add to the residual stream, and the state after these tokens (None for None)."""
        ...


class Stateless(nn.Module):
    """A base for sublayers without memory: they have no state to begin with and pass on what they get."""

    def new_state(self, batch_size: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> None:
        """Nothing to remember."""
        return


class PositionScheme(nn.Module):
    """How a model knows the order of its tokens: three hooks, of which a scheme fills in those it needs.

    longest: how many positions there are; None where they go on.
    """

    longest: int | None = None

    def embed(self, x: Float[Tensor, "batch seq d_model"], ctx: Context) -> Float[Tensor, "batch seq d_model"]:
        """The embeddings that enter the first layer."""
        return x

    def rotate(
        self,
        q: Float[Tensor, "batch seq heads head_dim"],
        k: Float[Tensor, "batch seq kv_heads head_dim"],
        ctx: Context,
    ) -> tuple[Float[Tensor, "batch seq heads score_dim"], Float[Tensor, "batch seq kv_heads score_dim"]]:
        """Queries and keys as they are scored, and as the keys are cached; they may gain channels.

        Scores are scaled by head_dim whatever is gained."""
        return q, k

    def score_bias(
        self, ctx: Context, key_positions: Int[Tensor, "#batch keys"]
    ) -> Float[Tensor, "#batch #heads seq keys"] | None:
        """What to add to the scaled scores of these tokens against keys that stand at `key_positions`."""
        return None


@runtime_checkable
class PositionsConfig(Protocol):
    """Builds a position scheme."""

    def build(self, sizes: Sizes) -> PositionScheme: ...


@runtime_checkable
class BlockConfig(Protocol):
    """Builds a norm or a feed-forward."""

    def build(self, sizes: Sizes) -> nn.Module: ...


@runtime_checkable
class MixerConfig(Protocol):
    """Builds a mixer; one that needs no positions ignores the scheme."""

    def build(self, sizes: Sizes, positions: PositionScheme) -> nn.Module: ...


@runtime_checkable
class ResidualConfig(Protocol):
    """Builds a layer from its sublayers, by name and in their order.

    final_norm: the stack has to normalise what leaves the last layer.
    """

    @property
    def final_norm(self) -> bool: ...

    def build(self, sizes: Sizes, sublayers: dict[str, nn.Module], norm: BlockConfig) -> nn.Module: ...


@runtime_checkable
class HeadConfig(Protocol):
    """Builds a head, which is called with what leaves the stack and with the product that makes logits of it."""

    def build(self, sizes: Sizes, vocab_size: int) -> nn.Module: ...
