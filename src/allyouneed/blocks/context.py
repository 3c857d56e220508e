"""The context of one forward pass: all that a block may know of its tokens besides their vectors.

It is built once a forward by the stack and handed to every block. Attention makes its masks from it,
position schemes their tables, recurrent mixers learn what to skip and where to start anew.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Record = dict[str, list[Tensor]]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Past:
    """Where each row stands after the tokens read so far; one entry for all rows while they are alike.

    position: of the next token, should it continue its document.
    segment: the document of the last valid token; None if no documents were told apart so far, which
        then counts as document 0.
    """

    position: Int[Tensor, "#batch"]
    segment: Int[Tensor, "batch"] | None = None

    @classmethod
    def none(cls, device: torch.device | None = None) -> "Past":
        """Before the first token."""
        return cls(torch.zeros(1, dtype=torch.long, device=device))

    def select(self, rows: Int[Tensor, "rows"]) -> "Past":
        """The given rows, in that order, repeated where `rows` repeats them."""
        position = self.position if len(self.position) == 1 else self.position[rows]
        return Past(position, None if self.segment is None else self.segment[rows])


@dataclass(frozen=True, eq=False)
class Memory:
    """Vectors that a stack reads besides its own tokens: an encoder's output, one row for each of its rows.

    valid: False at padding (None: every vector is real).

    Raises ValueError if `valid` does not fit the vectors.
    """

    vectors: Float[Tensor, "batch source d_model"]
    valid: Bool[Tensor, "batch source"] | None = None

    def __post_init__(self) -> None:
        if self.valid is not None and self.valid.shape != self.vectors.shape[:2]:
            raise ValueError(
                f"valid must have the vectors' shape {tuple(self.vectors.shape[:2])}, got {tuple(self.valid.shape)}"
            )
        if self.valid is not None and self.valid.dtype != torch.bool:
            raise ValueError(f"valid must be boolean, True at real vectors; got {self.valid.dtype}")
        object.__setattr__(self, "valid", _what_hides(self.valid))

    def select(self, rows: Int[Tensor, "rows"]) -> "Memory":
        """The given rows, in that order, repeated where `rows` repeats them."""
        return Memory(self.vectors[rows], None if self.valid is None else self.valid[rows])


@dataclass(frozen=True, eq=False)
class Context:
    """What is true of the tokens of one forward, for every block alike.

    positions: where each token stands; one row for all where the rows are alike.
    causal: no token may see a later one.
    valid: False at padding (None: every token is real).
    segments: the number of each token's document (None: one document a row). Tokens see their own document
        only. The documents of a row follow one another and have different numbers.
    record: where blocks put side outputs (auxiliary losses, router shares), by name, one entry a block;
        None unless the caller asked for them.
    past: where the rows stood before these tokens.
    memory: what else the tokens may read, whole and from any document; None if there is nothing.
    """

    positions: Int[Tensor, "#batch seq"]
    causal: bool
    past: Past
    valid: Bool[Tensor, "batch seq"] | None = None
    segments: Int[Tensor, "batch seq"] | None = None
    record: Record | None = None
    memory: Memory | None = None
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        inputs: Int[Tensor, "batch seq"] | Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "batch seq"] | None = None,
        positions: Int[Tensor, "#batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
        *,
        causal: bool,
        past: Past | None = None,
        record: Record | None = None,
        memory: Memory | None = None,
    ) -> "Context":
        """The context of `inputs`, tokens or embeddings, that follow on `past`.

        Unless given, positions count each row's valid tokens, on from the past and from 0 again at every
        document; and unless told, the tokens continue the document that the past ended in. Raises ValueError
        if there is no token, or if a mask, positions, segments or the memory do not fit.
        """
        batch, seq = inputs.shape[:2]
        if seq == 0:
            raise ValueError("a forward needs at least one token a row, got none")
        one_row = positions is not None and len(positions) == 1
        for name, given in (("mask", mask), ("positions", positions), ("segments", segments)):
            rows = 1 if name == "positions" and one_row else batch
            if given is not None and given.shape != (rows, seq):
                raise ValueError(f"{name} must have the inputs' shape {(batch, seq)}, got {tuple(given.shape)}")
        if mask is not None and mask.dtype != torch.bool:
            raise ValueError(f"mask must be boolean, True at real tokens; got {mask.dtype}")
        if memory is not None and len(memory.vectors) != batch:
            raise ValueError(f"the memory has {len(memory.vectors)} rows, the inputs have {batch}")
        mask = _what_hides(mask)
        past = past if past is not None else Past.none(inputs.device)
        if segments is None and past.segment is not None:
            segments = past.segment[:, None].expand(batch, seq)
        if positions is None:
            positions = _count(seq, mask, segments, past)
        return cls(positions, causal, past, mask, segments, record, memory)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` returns, made at the first call with `key` in this forward and kept for the others."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def after(self) -> Past:
        """Where the rows stand after these tokens."""
        if self.valid is None:
            return Past(self.positions[:, -1] + 1, None if self.segments is None else self.segments[:, -1])
        position = _last_valid((self.positions + 1).expand_as(self.valid), self.valid, self.past.position)
        if self.segments is None:
            return Past(position)
        return Past(position, _last_valid(self.segments, self.valid, _document(self.past)))


def _what_hides(mask: Bool[Tensor, "batch seq"] | None) -> Bool[Tensor, "batch seq"] | None:
    """The mask; None for one that hides nothing, which would keep attention from its fast path."""
    return None if mask is None or bool(mask.all()) else mask


def _count(
    seq: int, valid: Bool[Tensor, "batch seq"] | None, segments: Int[Tensor, "batch seq"] | None, past: Past
) -> Int[Tensor, "#batch seq"]:
    """Positions that count the valid tokens of each document; padding takes that of the token before it."""
    start = past.position[:, None]
    if segments is None:
        steps = torch.arange(seq, device=start.device) if valid is None else (valid.cumsum(1) - 1).clamp(min=0)
        return start + steps
    valid = valid if valid is not None else torch.ones_like(segments, dtype=torch.bool)
    count = valid.cumsum(1) - 1
    before = _latest_valid_before(segments, valid, _document(past))
    opens = valid & (segments != before)
    # The count at the token that opened the document; the open document of the past began before 0.
    opened_at = torch.where(opens, count, -start).cummax(1).values
    return (count - opened_at).clamp(min=0)


def _document(past: Past) -> Int[Tensor, "#batch"]:
    return past.segment if past.segment is not None else torch.zeros_like(past.position)


def _latest_valid_before(
    values: Int[Tensor, "batch seq"], valid: Bool[Tensor, "batch seq"], first: Int[Tensor, "#batch"]
) -> Int[Tensor, "batch seq"]:
    """At each place the value of the closest valid place before it, `first` where there is none."""
    index = torch.arange(values.shape[1], device=values.device)
    latest = torch.where(valid, index, -1).cummax(1).values.roll(1, 1)
    latest[:, 0] = -1
    return torch.where(latest < 0, first[:, None], values.gather(1, latest.clamp(min=0)))


def _last_valid(
    values: Int[Tensor, "batch seq"], valid: Bool[Tensor, "batch seq"], otherwise: Int[Tensor, "#batch"]
) -> Int[Tensor, "batch"]:
    """Each row's value at its last valid place, `otherwise` where it has none."""
    index = torch.arange(values.shape[1], device=values.device)
    last = torch.where(valid, index, -1).amax(1)
    return torch.where(last < 0, otherwise, values.gather(1, last.clamp(min=0)[:, None]).squeeze(1))
