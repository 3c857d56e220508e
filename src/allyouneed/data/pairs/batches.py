"""Sentence pairs as tokens, in batches of pairs of about equal length.

A batch is as wide as its longest sentence, so mixing lengths would spend most of a step on padding. Token 0 is
padding, 1 the start, 2 the end of a sentence, as `train_subwords` numbers them.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain

import numpy as np
import torch
from jaxtyping import Bool, Int

from allyouneed.data.batch import IGNORE, PairBatch
from allyouneed.data.pairs.pairs import Pair
from allyouneed.data.stream import NumberedStream
from allyouneed.tokenizers.protocol import Tokenizer
from allyouneed.tokenizers.subwords import END, PADDING, START

_POOL = 50  # batches among which pairs are sorted by length: enough to save padding, few enough to leave them mixed


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of tokens, each as long as it is, end to end in one array."""

    tokens: Int[np.ndarray, "total"]
    lengths: Int[np.ndarray, "rows"]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        """The rows, in 4 bytes a token."""
        lengths = np.array([len(row) for row in rows])
        return cls(np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=lengths.sum()), lengths)

    @cached_property
    def _starts(self) -> Int[np.ndarray, "rows"]:
        return np.cumsum(self.lengths) - self.lengths

    def padded(
        self, rows: Int[np.ndarray, "batch"]
    ) -> tuple[Int[np.ndarray, "batch longest"], Bool[np.ndarray, "batch longest"]]:
        """Some rows with padding on the right, and where they are not padding."""
        lengths = self.lengths[rows, None]
        span = np.arange(lengths.max())
        real = span < lengths
        places = np.where(real, self._starts[rows, None] + span, 0)
        return np.where(real, self.tokens[places].astype(np.int64), PADDING), real


@dataclass(frozen=True, eq=False)
class EncodedPairs:
    """The pairs of a split as tokens; made by `encode_pairs`.

    Sources end with the end token, targets begin with the start token, too. `kept` numbers the pairs within the
    split; `n_left_out` others were too long.
    """

    sources: Ragged
    targets: Ragged
    kept: Int[np.ndarray, "pairs"]
    n_left_out: int

    def __len__(self) -> int:
        return len(self.kept)

    def at(self, rows: Int[np.ndarray, "batch"]) -> PairBatch:
        """These pairs as a batch."""
        source, is_source = self.sources.padded(rows)
        target, is_target = self.targets.padded(rows)
        scored = is_target[:, 1:]
        return PairBatch(
            source=torch.from_numpy(source),
            tokens=torch.from_numpy(np.where(scored, target[:, :-1], PADDING)),
            targets=torch.from_numpy(np.where(scored, target[:, 1:], IGNORE)),
            source_mask=None if is_source.all() else torch.from_numpy(is_source),
        )

    def stream(self, batch_size: int, seed: int) -> "PairStream":
        """Endless batches, every pair once in each epoch."""
        return PairStream(self, batch_size, seed)

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[PairBatch]:
        """All pairs once, or the first `limit` of them, in the order of `rows`."""
        return map(self.at, self.rows(batch_size, limit))

    def rows(self, batch_size: int, limit: int | None = None) -> Iterator[Int[np.ndarray, "batch"]]:
        """Which pairs are in each of the `batches`, shortest targets first.

        Whoever needs to know, because what is decoded has to go back to its place, takes `at` of each.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 pair, got {limit}")
        order = self.by_length(np.arange(len(self))[:limit])
        return (order[first : first + batch_size] for first in range(0, len(order), batch_size))

    def by_length(self, rows: Int[np.ndarray, "rows"]) -> Int[np.ndarray, "rows"]:
        """The same rows, shortest targets first, among equal ones shortest sources first."""
        return rows[np.lexsort((self.sources.lengths[rows], self.targets.lengths[rows]))]


def encode_pairs(pairs: Sequence[Pair], tokenizer: Tokenizer, max_len: int | None = None) -> EncodedPairs:
    """Pairs as tokens, without those of which a side has more than `max_len` tokens, its end token included.

    Tokens 0, 1 and 2 of the tokenizer must be padding, start and end. Raises ValueError if no pair is left.
    """
    sources = [[*tokenizer.encode(source), END] for source, _ in pairs]
    targets = [[START, *tokenizer.encode(target), END] for _, target in pairs]
    kept = [
        i
        for i, (source, target) in enumerate(zip(sources, targets))
        if max_len is None or max(len(source), len(target) - 1) <= max_len
    ]
    if not kept:
        raise ValueError(f"of {len(pairs)} pairs none has at most {max_len} tokens on both sides")
    return EncodedPairs(
        Ragged.of([sources[i] for i in kept]),
        Ragged.of([targets[i] for i in kept]),
        np.array(kept),
        len(pairs) - len(kept),
    )


class PairStream(NumberedStream[PairBatch]):
    """Endless batches. An epoch has every pair once; one of its batches, at any place, may be smaller."""

    def __init__(self, pairs: EncodedPairs, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.pairs = pairs
        self._order = lru_cache(maxsize=1)(self._new_order)

    @property
    def batches_per_epoch(self) -> int:
        return -(-len(self.pairs) // self.batch_size)

    def draw(self, n: int) -> PairBatch:
        """Some pairs of about equal length, of those that this epoch has not had."""
        epoch, place = divmod(n, self.batches_per_epoch)
        return self.pairs.at(self._order(epoch)[place])

    def _new_order(self, epoch: int) -> list[Int[np.ndarray, "batch"]]:
        """The batches of an epoch: pairs shuffled, sorted by length within pools, cut, and the batches shuffled."""
        random = self.random(epoch)
        order = random.permutation(len(self.pairs))
        pool = _POOL * self.batch_size
        order = np.concatenate(
            [self.pairs.by_length(order[first : first + pool]) for first in range(0, len(order), pool)]
        )
        batches = np.split(order, range(self.batch_size, len(order), self.batch_size))
        return [batches[i] for i in random.permutation(len(batches))]

    def source(self) -> str:
        """How many pairs, and a checksum of their tokens."""
        arrays = (self.pairs.sources, self.pairs.targets)
        parts = [part for ragged in arrays for part in (ragged.tokens, ragged.lengths)]
        return f"{len(self.pairs)} pairs ({zlib.crc32(b''.join(part.tobytes() for part in parts)):08x})"
