"""Which keys a query may meet: what is remembered of the keys, and the mask that follows from it."""

from dataclasses import dataclass
from functools import reduce
from operator import and_

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from allyouneed.blocks.context import Context


@dataclass(frozen=True, eq=False)
class Keys:
    """What is known of keys besides their vectors, slot by slot in the order they were read.

    As in the context: `valid` None means that all are, `segments` None that all are of document 0.
    """

    positions: Int[Tensor, "#batch slots"]
    valid: Bool[Tensor, "batch slots"] | None
    segments: Int[Tensor, "batch slots"] | None

    def select(self, rows: Int[Tensor, "rows"]) -> "Keys":
        """The given rows, in that order, repeated where `rows` repeats them."""
        positions = self.positions if len(self.positions) == 1 else self.positions[rows]
        valid = None if self.valid is None else self.valid[rows]
        return Keys(positions, valid, None if self.segments is None else self.segments[rows])


def keys_after(before: Keys | None, ctx: Context) -> Keys:
    """The keys of this forward behind those of the state, if there are any; joined once for all layers."""
    return ctx.once(("keys", before), lambda: _join(before, ctx))


def _join(before: Keys | None, ctx: Context) -> Keys:
    if before is None:
        return Keys(ctx.positions, ctx.valid, ctx.segments)
    n_old, n_new = before.positions.shape[1], ctx.positions.shape[1]
    positions = _append(before.positions, ctx.positions, n_old, n_new, fill=0)
    assert positions is not None
    valid = _append(before.valid, ctx.valid, n_old, n_new, fill=True)
    return Keys(positions, valid, _append(before.segments, ctx.segments, n_old, n_new, fill=0))


def _append(old: Tensor | None, new: Tensor | None, n_old: int, n_new: int, fill: int) -> Tensor | None:
    """Both side by side, `fill` standing in for one that is not told; None if neither is."""
    if old is None:
        if new is None:
            return None
        old = new.new_full((len(new), n_old), fill)
    if new is None:
        new = old.new_full((len(old), n_new), fill)
    rows = max(len(old), len(new))
    return torch.cat((old.expand(rows, -1), new.expand(rows, -1)), dim=1)


@dataclass(frozen=True, eq=False)
class Mask:
    """What queries may not meet. The plain cases are told without a tensor, so that fast paths can be taken.

    causal: queries and keys are the same tokens, and a query meets itself and those before it.
    allowed: True where a query may meet a key; None if nothing else is hidden.
    blind: queries that may meet no key; their output is 0. In `allowed` they meet all, so that no softmax
        is over nothing.
    """

    causal: bool = False
    allowed: Bool[Tensor, "#batch #heads #queries keys"] | None = None
    blind: Bool[Tensor, "#batch #heads #queries 1"] | None = None

    @classmethod
    def of(cls, allowed: Bool[Tensor, "#batch #heads #queries keys"]) -> "Mask":
        """Any mask at all, rows that allow nothing included."""
        blind = ~allowed.any(dim=-1, keepdim=True)
        return cls(allowed=allowed | blind, blind=blind)


def attention_mask(ctx: Context, keys: Keys) -> Mask:
    """The mask of this forward's tokens against `keys`, of which they are the last; made once for all layers.

    A query meets the valid keys of its own document, if causal only those that were read before it and itself.
    """
    return ctx.once(("mask", keys), lambda: _mask(ctx, keys))


def _mask(ctx: Context, keys: Keys) -> Mask:
    n_queries, n_keys = ctx.positions.shape[1], keys.positions.shape[1]
    hides_later = ctx.causal and n_queries > 1
    if keys.valid is None and keys.segments is None and (n_queries == n_keys or not hides_later):
        return Mask(causal=hides_later)
    parts = []
    if hides_later:
        slots = torch.arange(n_keys, device=keys.positions.device)
        parts.append((slots <= slots[-n_queries:, None])[None, None])
    if keys.segments is not None:
        parts.append(keys.segments[:, None, -n_queries:, None] == keys.segments[:, None, None, :])
    if keys.valid is not None:
        parts.append(keys.valid[:, None, None, :])
    allowed = reduce(and_, parts)
    # Without padding a query meets at least its own key.
    return Mask(allowed=allowed) if keys.valid is None else Mask.of(allowed)
