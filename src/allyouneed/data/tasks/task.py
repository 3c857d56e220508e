"""Problems with known answers, made as fast as they are read.

The hash of a problem decides whether it may be met in train, tune or test, so no split shares a problem with another
however many are drawn. A row is the prompt, the answer and an end token; only the answer and the end are scored.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from allyouneed.data.batch import IGNORE, TokenBatch
from allyouneed.data.stream import NumberedStream
from allyouneed.tokenizers.characters import Characters

PADDING, END = " ", "\n"
_TUNE, _TEST = (90, 95), (95, 100)  # percent of the hashes; what is below is train
_N_HELD_OUT = 512
_HELD_OUT_SEED = 0
_CANDIDATES = 1 << 15  # 5 % of them are three times as many as are held out


class Task(ABC):
    """A law by which problems are drawn, as a frozen dataclass; a problem is a row of integers."""

    alphabet: ClassVar[str]

    @property
    def tokenizer(self) -> Characters:
        return Characters(PADDING + END + self.alphabet)

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.vocab_size

    @property
    @abstractmethod
    def length(self) -> int:
        """Tokens in the longest row of inputs; shorter ones are padded to it on the right."""

    @abstractmethod
    def draw(self, n: int, random: np.random.Generator) -> Int[np.ndarray, "n width"]:
        """n problems drawn independently."""

    @abstractmethod
    def text(self, problem: Int[np.ndarray, "width"]) -> tuple[str, str]:
        """Prompt and answer."""

    def identity(self, problems: Int[np.ndarray, "n width"]) -> Int[np.ndarray, "n width"]:
        """Rows that are equal for problems which must not lie in two splits."""
        return problems

    def train(self, batch_size: int, seed: int) -> "TaskStream":
        """Endless batches of train problems. Raises ValueError if there are too few problems for that."""
        return TaskStream(self, batch_size, seed)

    def tune(self, batch_size: int) -> Iterator[TokenBatch]:
        """The problems to choose by: 512, always the same ones, or as many as there are."""
        return self._held_out(batch_size, *_TUNE)

    def test(self, batch_size: int) -> Iterator[TokenBatch]:
        """The problems for the claims: 512, always the same ones, or as many as there are."""
        return self._held_out(batch_size, *_TEST)

    def sample(self, split: str, n: int, seed: int) -> Int[np.ndarray, "n width"]:
        """n problems of "tune" or "test" as they are drawn, with repeats. Raises ValueError if hardly any is."""
        low, high = {"tune": _TUNE, "test": _TEST}[split]
        random = np.random.default_rng(seed)
        problems = self.draw(0, random)
        for _ in range(100):
            drawn = self.draw(20 * n + 100, random)  # one in twenty is of the split
            percent = _percent(self.identity(drawn))
            problems = np.concatenate([problems, drawn[(low <= percent) & (percent < high)]])
            if len(problems) >= n:
                return problems[:n]
        raise ValueError(f"{self} has too few problems to draw {n} of {split}")

    def _held_out(self, batch_size: int, low: int, high: int) -> Iterator[TokenBatch]:
        problems = self.draw(_CANDIDATES, np.random.default_rng(_HELD_OUT_SEED))
        identity = self.identity(problems)
        percent = _percent(identity)
        chosen = np.flatnonzero((low <= percent) & (percent < high))
        _, first = np.unique(identity[chosen], axis=0, return_index=True)
        kept = problems[chosen[np.sort(first)[:_N_HELD_OUT]]]
        if not len(kept):
            raise ValueError(f"{self} has too few problems to hold some out")
        return (self.batch(kept[start : start + batch_size]) for start in range(0, len(kept), batch_size))

    def batch(self, problems: Int[np.ndarray, "batch width"]) -> TokenBatch:
        """The problems as tokens, with -100 as the target wherever the next token is of the prompt or padding."""
        tokenizer = self.tokenizer
        padding = tokenizer.encode(PADDING)[0]
        tokens = np.full((len(problems), self.length + 1), padding, dtype=np.int64)
        targets = np.full((len(problems), self.length), IGNORE, dtype=np.int64)
        mask = np.zeros((len(problems), self.length), dtype=bool)
        for row, problem in enumerate(problems):
            prompt, answer = self.text(problem)
            ids = tokenizer.encode(prompt + answer + END)
            tokens[row, : len(ids)] = ids
            targets[row, len(prompt) - 1 : len(ids) - 1] = ids[len(prompt) :]
            mask[row, : len(ids) - 1] = True
        return TokenBatch(torch.from_numpy(tokens[:, :-1].copy()), torch.from_numpy(targets), torch.from_numpy(mask))


class TaskStream(NumberedStream[TokenBatch]):
    """Endless batches of a task's train problems."""

    def __init__(self, task: Task, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.task = task

    def draw(self, n: int) -> TokenBatch:
        """Problems drawn until enough of them are train's. Raises ValueError if hardly any is."""
        random = self.random(n)
        problems = self.task.draw(0, random)
        for _ in range(100):  # nine problems in ten are train's, so the first round is nearly always enough
            drawn = self.task.draw(self.batch_size + self.batch_size // 4 + 8, random)
            problems = np.concatenate([problems, drawn[_percent(self.task.identity(drawn)) < _TUNE[0]]])
            if len(problems) >= self.batch_size:
                return self.task.batch(problems[: self.batch_size])
        raise ValueError(f"{self.task} has too few problems to train on")

    def source(self) -> str:
        """The task with its settings."""
        return repr(self.task)


def exact_match(predictions: Int[Tensor, "batch seq"], targets: Int[Tensor, "batch seq"]) -> Bool[Tensor, "batch"]:
    """Which rows are right at every scored position.

    With the arg max of the logits as predictions this is what greedy decoding would get right: the first wrong
    token is wrong in both, and until then both have read the same.
    """
    return ((predictions == targets) | (targets == IGNORE)).all(dim=1)


def _percent(rows: Int[np.ndarray, "n width"]) -> Int[np.ndarray, "n"]:
    """A number in 0..99 for each row, by the hash of its content (the mixing function of SplitMix64)."""
    mixed = np.zeros(len(rows), dtype=np.uint64)
    for column in rows.astype(np.uint64).T:
        mixed += column + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(100)).astype(np.int64)
