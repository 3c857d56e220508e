"""Sentences with labels as tokens, in batches of about equal length."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from allyouneed.data.chats.chats import Chat
from allyouneed.data.pairs.batches import Ragged
from allyouneed.data.stream import NumberedStream
from allyouneed.tokenizers.checkpoint import CheckpointTokenizer

_POOL = 50  # batches among which sentences are sorted by length


@dataclass(frozen=True)
class LabelledBatch:
    """Sentences, padded on the right, and the number of the label of each. mask: False at padding."""

    tokens: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]
    labels: Int[Tensor, "batch"]


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Made by `label_texts`."""

    texts: Ragged
    labels: Int[np.ndarray, "texts"]

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: Int[np.ndarray, "batch"]) -> LabelledBatch:
        """These as a batch."""
        tokens, mask = self.texts.padded(rows)
        return LabelledBatch(*(torch.from_numpy(array) for array in (tokens, mask, self.labels[rows])))

    def batches(self, batch_size: int) -> Iterator[LabelledBatch]:
        """All of them once, in order."""
        rows = np.arange(len(self))
        return (self.at(rows[first : first + batch_size]) for first in range(0, len(rows), batch_size))

    def stream(self, batch_size: int, seed: int) -> "LabelledStream":
        """Endless batches, each text once in an epoch."""
        return LabelledStream(self, batch_size, seed)


def label_texts(
    chats: Sequence[Chat], names: Sequence[str], tokenizer: CheckpointTokenizer, max_len: int
) -> LabelledTexts:
    """Prompts as tokens, as the model expects them around a text, cut to `max_len`; completions as their place among
    `names`. Raises ValueError for a completion that is none of them."""
    rows = []
    for chat in chats:
        tokens = tokenizer.encode(chat["prompt"], special=True)
        rows.append(tokens if len(tokens) <= max_len else [*tokens[: max_len - 1], tokens[-1]])
    return LabelledTexts(Ragged.of(rows), np.array([list(names).index(chat["completion"]) for chat in chats]))


class LabelledStream(NumberedStream[LabelledBatch]):
    """Endless batches. One of an epoch, at any place, may be smaller."""

    def __init__(self, texts: LabelledTexts, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.texts = texts
        self._order = lru_cache(maxsize=1)(self._new_order)

    def draw(self, n: int) -> LabelledBatch:
        """Some texts of about equal length, of those that this epoch has not had."""
        epoch, place = divmod(n, -(-len(self.texts) // self.batch_size))
        return self.texts.at(self._order(epoch)[place])

    def _new_order(self, epoch: int) -> list[Int[np.ndarray, "batch"]]:
        """Texts shuffled, sorted by length within pools, cut into batches, and these shuffled."""
        random = self.random(epoch)
        order = random.permutation(len(self.texts))
        pools = np.split(order, range(_POOL * self.batch_size, len(order), _POOL * self.batch_size))
        lengths = self.texts.texts.lengths
        order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = np.split(order, range(self.batch_size, len(order), self.batch_size))
        return [batches[i] for i in random.permutation(len(batches))]

    def source(self) -> str:
        """How many texts, and a checksum of their tokens and labels."""
        parts = (self.texts.texts.tokens, self.texts.texts.lengths, self.texts.labels)
        return f"{len(self.texts)} labelled texts ({zlib.crc32(b''.join(part.tobytes() for part in parts)):08x})"
