"""Which keys a query may meet: what is remembered of the keys, and the mask that follows from it."""

from dataclasses import dataclass
from functools import reduce
from operator import and_

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from allyouneed.blocks.context import Context

Kept = int | Int[Tensor, "batch kept"]
"""The slots that stay: so many of the last, or these of each row."""

WINDOW_BLOCK = 256  # queries that look at one stretch of the keys: fewer make more calls, more waste more products


@dataclass(frozen=True, eq=False)
class Keys:
    """What is known of keys besides their vectors, slot by slot in the order they were read.

    As in the context: `valid` None means that all are, `segments` None that all are of document 0.
    forgotten: valid tokens that were read before these and have no slot any more.
    """

    positions: Int[Tensor, "#batch slots"]
    valid: Bool[Tensor, "batch slots"] | None
    segments: Int[Tensor, "batch slots"] | None
    forgotten: Int[Tensor, "#batch"]

    def select(self, rows: Int[Tensor, "rows"]) -> "Keys":
        """The given rows, in that order, repeated where `rows` repeats them."""
        positions = self.positions if len(self.positions) == 1 else self.positions[rows]
        valid = None if self.valid is None else self.valid[rows]
        forgotten = self.forgotten if len(self.forgotten) == 1 else self.forgotten[rows]
        return Keys(positions, valid, None if self.segments is None else self.segments[rows], forgotten)


def keys_after(before: Keys | None, ctx: Context) -> Keys:
    """The keys of this forward behind those of the state, if there are any; joined once for all layers."""
    return ctx.once(("keys", before), lambda: _join(before, ctx))


def _join(before: Keys | None, ctx: Context) -> Keys:
    if before is None:
        return Keys(ctx.positions, ctx.valid, ctx.segments, ctx.positions.new_zeros(1))
    n_old, n_new = before.positions.shape[1], ctx.positions.shape[1]
    positions = _append(before.positions, ctx.positions, n_old, n_new, fill=0)
    assert positions is not None
    valid = _append(before.valid, ctx.valid, n_old, n_new, fill=True)
    segments = _append(before.segments, ctx.segments, n_old, n_new, fill=0)
    return Keys(positions, valid, segments, before.forgotten)


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


def last_keys(keys: Keys, n: int, ctx: Context) -> tuple[Kept, Keys]:
    """The last `n` valid keys of each row, or all that it has: which slots they are, and what is known of them.

    Where the last slots of all rows hold them, it is told as the number of those slots, so that nothing need move.
    Made once for all layers.
    """
    return ctx.once(("last keys", keys, n), lambda: _last(keys, n))


def _last(keys: Keys, n: int) -> tuple[Kept, Keys]:
    n_slots = keys.positions.shape[1]
    if keys.valid is None:
        n = min(n, n_slots)
        return n, _only(keys, slice(n_slots - n, None), keys.forgotten + (n_slots - n))
    held = keys.valid.sum(1)
    kept = held.clamp(max=n)
    width = int(kept.max())
    forgotten = keys.forgotten + (held - kept)
    if bool((keys.valid[:, n_slots - width :].sum(1) == kept).all()):
        return width, _only(keys, slice(n_slots - width, None), forgotten)
    # Somewhere padding stands between: each row's valid slots move to the right, in their order.
    order = keys.valid.long().argsort(dim=1, stable=True)[:, n_slots - width :]
    return order, _only(keys, order, forgotten)


def _only(keys: Keys, kept: slice | Int[Tensor, "batch slots"], forgotten: Int[Tensor, "#batch"]) -> Keys:
    def taken(values: Tensor) -> Tensor:
        return values[:, kept] if isinstance(kept, slice) else values.take_along_dim(kept, dim=1)

    valid = None if keys.valid is None else taken(keys.valid)
    valid = None if valid is None or bool(valid.all()) else valid
    return Keys(taken(keys.positions), valid, None if keys.segments is None else taken(keys.segments), forgotten)


@dataclass(frozen=True, eq=False)
class Mask:
    """What queries may not meet. The plain cases are told without a tensor, so that fast paths can be taken.

    causal: queries and keys are the same tokens, and a query meets itself and those before it.
    allowed: True where a query may meet a key; None if nothing else is hidden.
    blind: queries that may meet no key; their output is 0. In `allowed` they meet all, so that no softmax
        is over nothing.
    blocks: the mask of each stretch of queries, where each is to look at a stretch of the keys only; together they
        are all the queries, and nothing else is told.
    """

    causal: bool = False
    allowed: Bool[Tensor, "#batch #heads #queries keys"] | None = None
    blind: Bool[Tensor, "#batch #heads #queries 1"] | None = None
    blocks: "tuple[Block, ...]" = ()

    @classmethod
    def of(cls, allowed: Bool[Tensor, "#batch #heads #queries keys"]) -> "Mask":
        """Any mask at all, rows that allow nothing included."""
        blind = ~allowed.any(dim=-1, keepdim=True)
        return cls(allowed=allowed | blind, blind=blind)


@dataclass(frozen=True, eq=False)
class Block:
    """A stretch of queries, the stretch of keys that holds all it may meet, and the mask between them."""

    queries: slice
    keys: slice
    mask: Mask


def attention_mask(ctx: Context, keys: Keys, window: int | None = None) -> Mask:
    """The mask of this forward's tokens against `keys`, of which they are the last; made once for all layers.

    A query meets the valid keys of its own document, if causal only those that were read before it and itself, and
    of those the last `window`. Raises ValueError for a window in a context that is not causal.
    """
    return ctx.once(("mask", keys, window), lambda: _mask(ctx, keys, window))


def _mask(ctx: Context, keys: Keys, window: int | None) -> Mask:
    n_queries, n_keys = ctx.positions.shape[1], keys.positions.shape[1]
    hides_later = ctx.causal and n_queries > 1
    if window is not None:
        if not ctx.causal:
            raise ValueError("a window looks back from each token: it needs a stack that reads from left to right")
        if n_keys > window:
            return _windowed(keys, n_queries, window)
    if keys.valid is None and keys.segments is None and (n_queries == n_keys or not hides_later):
        return Mask(causal=hides_later)
    parts = []
    if hides_later:
        slots = torch.arange(n_keys, device=keys.positions.device)
        parts.append((slots <= slots[-n_queries:, None])[None, None])
    return _all_of(parts, keys, slice(n_keys - n_queries, n_keys), slice(0, n_keys))


def _windowed(keys: Keys, n_queries: int, window: int) -> Mask:
    """Stretches of queries, each against the keys that their windows reach."""
    n_keys = keys.positions.shape[1]
    before = n_keys - n_queries
    # How many valid tokens stand up to each slot: what windows count.
    slots = torch.arange(n_keys, device=keys.positions.device)
    rank = slots[None] if keys.valid is None else keys.valid.cumsum(1)
    blocks = []
    for first in range(before, n_keys, WINDOW_BLOCK):
        end = min(first + WINDOW_BLOCK, n_keys)
        out_of_reach = (rank <= rank[:, first, None] - window).sum(1)
        queries, seen = slice(first, end), slice(int(out_of_reach.min()), end)
        causal = slots[seen] <= slots[queries, None]
        near = rank[:, None, queries, None] - rank[:, None, None, seen] < window
        mask = _all_of([causal & near], keys, queries, seen)
        blocks.append(Block(slice(first - before, end - before), seen, mask))
    return Mask(blocks=tuple(blocks))


def _all_of(parts: list[Tensor], keys: Keys, queries: slice, seen: slice) -> Mask:
    """The mask of the slots `queries` against the slots `seen`: `parts`, documents and padding together."""
    if keys.segments is not None:
        parts.append(keys.segments[:, None, queries, None] == keys.segments[:, None, None, seen])
    if keys.valid is not None:
        parts.append(keys.valid[:, None, None, seen])
    allowed = reduce(and_, parts)
    # Without padding a query meets at least its own key.
    return Mask(allowed=allowed) if keys.valid is None else Mask.of(allowed)
