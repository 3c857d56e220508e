"""Conversations as tokens, packed: several in a row, each its own document, so that none sees another.

Chats are far shorter than the longest, so a row each would be mostly padding. Which chats share a row is decided
once: they do not see one another, so it only decides which are in a step together.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from allyouneed.data.batch import IGNORE, TokenBatch
from allyouneed.data.stream import NumberedStream
from allyouneed.tokenizers.answers import Chat, answer_tokens
from allyouneed.tokenizers.checkpoint import CheckpointTokenizer

Row = list[int]  # the numbers of the chats in it


@dataclass(frozen=True, eq=False)
class EncodedChats:
    """Packed chats; made by `encode_chats`.

    inputs, targets: of each chat, what is read and what is to be written next (-100 where nothing is scored).
    rows: which chats stand in each row.
    n_cut: how many were too long and lost their end. n_left_out: of how many nothing would have been left to score.
    """

    inputs: list[Int[np.ndarray, "_"]]
    targets: list[Int[np.ndarray, "_"]]
    rows: list[Row]
    n_cut: int
    n_left_out: int

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(sum(len(self.inputs[chat]) for chat in row) for row in self.rows)

    @property
    def n_scored(self) -> int:
        """How many tokens are scored in all."""
        return sum(int((targets != IGNORE).sum()) for targets in self.targets)

    def at(self, rows: Int[np.ndarray, "batch"]) -> TokenBatch:
        """These rows as a batch, as wide as its longest. Padding stands on the right, where a causal model's real
        tokens do not see it."""
        chosen = [self.rows[row] for row in rows]
        width = max(sum(len(self.inputs[chat]) for chat in row) for row in chosen)
        tokens = np.zeros((len(chosen), width), dtype=np.int64)
        targets = np.full((len(chosen), width), IGNORE, dtype=np.int64)
        segments = np.zeros((len(chosen), width), dtype=np.int64)
        for place, row in enumerate(chosen):
            start = 0
            for number, chat in enumerate(row):
                stop = start + len(self.inputs[chat])
                tokens[place, start:stop], targets[place, start:stop] = self.inputs[chat], self.targets[chat]
                segments[place, start:] = number
                start = stop
        together = max(map(len, chosen)) > 1
        return TokenBatch(
            torch.from_numpy(tokens),
            torch.from_numpy(targets),
            segments=torch.from_numpy(segments) if together else None,
        )

    def batches(self, batch_size: int) -> Iterator[TokenBatch]:
        """All rows once, in order."""
        numbers = np.arange(len(self))
        return (self.at(numbers[first : first + batch_size]) for first in range(0, len(self), batch_size))

    def stream(self, batch_size: int, seed: int) -> "ChatStream":
        """Endless batches of rows, every row once in each epoch."""
        return ChatStream(self, batch_size, seed)


def encode_chats(chats: Sequence[Chat], tokenizer: CheckpointTokenizer, max_len: int) -> EncodedChats:
    """Chats as tokens, in rows of at most `max_len`; what is longer loses its end.

    Raises ValueError if nothing is left to score.
    """
    inputs, targets, n_cut = [], [], 0
    for chat in chats:
        tokens, scored = answer_tokens(tokenizer, chat)
        n_cut += len(tokens) > max_len + 1
        tokens, scored = tokens[: max_len + 1], scored[: max_len + 1]
        if any(scored[1:]):
            inputs.append(np.array(tokens[:-1], dtype=np.int32))
            targets.append(np.where(scored[1:], tokens[1:], IGNORE).astype(np.int32))
    if not inputs:
        raise ValueError(f"of {len(chats)} chats none has an answer within the first {max_len} tokens")
    rows = pack([len(chat) for chat in inputs], max_len)
    return EncodedChats(inputs, targets, rows, n_cut, len(chats) - len(inputs))


def pack(lengths: Sequence[int], capacity: int) -> list[Row]:
    """Which items share a row of `capacity`: the longest first, each where it leaves the least room (best fit)."""
    rows: list[Row] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]  # the rows that have so much left
    for item in sorted(range(len(lengths)), key=lambda item: -lengths[item]):
        length = lengths[item]
        room = next((room for room in range(length, capacity + 1) if with_room[room]), None)
        if room is None:
            rows.append([])
            row, room = len(rows) - 1, capacity
        else:
            row = with_room[room].pop()
        rows[row].append(item)
        with_room[room - length].append(row)
    return rows


class ChatStream(NumberedStream[TokenBatch]):
    """Endless batches of rows; the last of an epoch may be smaller."""

    def __init__(self, chats: EncodedChats, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.chats = chats

    @property
    def batches_per_epoch(self) -> int:
        return -(-len(self.chats) // self.batch_size)

    def draw(self, n: int) -> TokenBatch:
        """Some rows that this epoch has not had."""
        epoch, place = divmod(n, self.batches_per_epoch)
        order = self.random(epoch).permutation(len(self.chats))
        return self.chats.at(order[place * self.batch_size : (place + 1) * self.batch_size])

    def source(self) -> str:
        """How many chats, and a checksum of their tokens."""
        parts = [part.tobytes() for both in zip(self.chats.inputs, self.chats.targets) for part in both]
        return f"{len(parts) // 2} chats in {len(self.chats)} rows ({zlib.crc32(b''.join(parts)):08x})"
