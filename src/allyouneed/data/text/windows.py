"""Windows over a long run of tokens: drawn at random to train on, laid side by side to score.

Texts are one run of tokens with byte 0 after every document, and windows may cross such an end: the model sees the
0 and can learn that what follows is a new document.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from allyouneed.data.batch import IGNORE, TokenBatch
from allyouneed.data.stream import NumberedStream


@dataclass(frozen=True)
class Windows:
    """All windows of `length` inputs over `tokens`; of each, the last `score_last` targets are scored (None: all)."""

    tokens: Int[np.ndarray, "total"]
    length: int
    score_last: int | None = None

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"a window's length must be at least 1, got {self.length}")
        if self.score_last is not None and not 1 <= self.score_last <= self.length:
            raise ValueError(f"score_last must lie in 1..{self.length} (the window's length), got {self.score_last}")
        if len(self.tokens) <= self.length:
            raise ValueError(
                f"a window of {self.length} tokens and the one that follows need at least {self.length + 1} tokens, "
                f"the text has {len(self.tokens)}"
            )

    def __len__(self) -> int:
        """How many windows `batches()` yields: one for every `score_last` targets, a last incomplete one left out."""
        return (len(self.tokens) - 1) // self._scored

    @property
    def _scored(self) -> int:
        return self.score_last or self.length

    def stream(self, batch_size: int, seed: int) -> "WindowStream":
        """Endless batches of windows that start anywhere with equal probability."""
        return WindowStream(self, batch_size, seed)

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[TokenBatch]:
        """The whole text once, in order; or `limit` windows of it (windows, not batches), evenly spread.

        The scored targets lie end to end from the second token on. Which they are depends on `score_last` and
        `limit` alone: a longer window scores the same tokens with more context before them. For the first windows
        that context is taken from the text's end, as if the text were a circle, so that no window is short.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 window, got {limit}")
        n_windows = len(self) if limit is None else min(limit, len(self))
        blocks = np.arange(n_windows) * len(self) // n_windows
        starts = (blocks + 1) * self._scored - self.length
        for first in range(0, n_windows, batch_size):
            yield self.at(starts[first : first + batch_size])

    def at(self, starts: Int[np.ndarray, "batch"]) -> TokenBatch:
        """The windows whose first input is `tokens[start]`, taking the text as a circle."""
        span = np.asarray(starts)[:, None] + np.arange(self.length + 1)
        window = torch.from_numpy(self.tokens[span % len(self.tokens)].astype(np.int64))
        targets = window[:, 1:].clone()
        targets[:, : self.length - self._scored] = IGNORE
        return TokenBatch(window[:, :-1].contiguous(), targets)


class WindowStream(NumberedStream[TokenBatch]):
    """Endless random windows."""

    def __init__(self, windows: Windows, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.windows = windows

    def draw(self, n: int) -> TokenBatch:
        """Windows that start anywhere with equal probability."""
        n_starts = len(self.windows.tokens) - self.windows.length
        return self.windows.at(self.random(n).integers(n_starts, size=self.batch_size))

    def source(self) -> str:
        """The windows' shape, and a checksum of a sample of the text: all of it may be gigabytes."""
        tokens = self.windows.tokens
        sample = np.ascontiguousarray(tokens[:: max(1, len(tokens) // 10_000)])
        shape = f"{self.windows.length}/{self.windows.score_last}"
        return f"windows of {shape} over {len(tokens)} tokens ({zlib.crc32(sample.tobytes()):08x})"
