"""The dual encoder: one network for questions, another for passages, trained so that their inner product ranks.

Karpukhin et al., "Dense Passage Retrieval for Open-Domain Question Answering", 2020, arXiv:2004.04906, section 3: the
two share no weight, and a passage's vector never depends on the question, so that all passages are encoded
beforehand.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.data.stream import NumberedStream
from allyouneed.models.encoder import Encoder
from allyouneed.models.stack import drawn_from
from allyouneed.objectives.in_batch import in_batch_loss
from allyouneed.objectives.loss import Loss
from allyouneed.retrieval.hits import NOTHING, Retriever


class DualEncoder(nn.Module):
    """Two encoders, each from its inputs (tokens, or vectors that a frozen model has made) to one vector a row.

    make: builds one of them; it is called twice. seed: of their weights, which are drawn by name and so differ.
    """

    def __init__(self, make: Callable[[], nn.Module], seed: int) -> None:
        super().__init__()
        with drawn_from(seed, self):
            self.query = make()
            self.passage = make()


class Tokens(NamedTuple):
    """What a token encoder reads: tokens, and True where they are not padding."""

    tokens: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]


class TokenEncoder(nn.Module):
    """An encoder with a pooler as one of the two: DPR's own, saved by `hub.save` as a DPR checkpoint."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Tokens) -> Float[Tensor, "batch channels"]:
        """One vector a row."""
        return self.encoder.pooled(self.encoder.hidden(batch.tokens, batch.mask), batch.mask)


@dataclass(frozen=True)
class QuestionBatch:
    """Inputs of the two encoders: of B questions, and of their passages, each question's own before its hard ones."""

    queries: Any
    passages: Any


@dataclass(frozen=True)
class InBatch:
    """The objective. n_hard: the hard negatives of each question in a batch."""

    n_hard: int = 0

    def __call__(self, model: nn.Module, batch: QuestionBatch) -> Loss:
        """See `in_batch_loss`. A batch must not be cut into micro-batches: it would have fewer negatives."""
        assert isinstance(model, DualEncoder)
        return in_batch_loss(model.query(batch.queries), model.passage(batch.passages), self.n_hard)


class QuestionStream(NumberedStream[QuestionBatch]):
    """Endless batches of questions with their passages; every question once in each epoch, its last, short batch
    left out.

    own: the passage of each question. hard: numbers of passages that only look right, some for each question (-1: none
    there); one of them is drawn each time for each of `n_hard`. `queries_at` and `passages_at` give the encoders'
    inputs of some questions and of some passages. Raises ValueError if there are fewer questions than one batch has.
    """

    def __init__(
        self,
        own: Int[np.ndarray, "questions"],
        queries_at: Callable[[Int[np.ndarray, "batch"]], Any],
        passages_at: Callable[[Int[np.ndarray, "rows"]], Any],
        batch_size: int,
        seed: int,
        hard: Int[np.ndarray, "questions candidates"] | None = None,
        n_hard: int = 0,
    ) -> None:
        super().__init__(batch_size, seed)
        if len(own) < batch_size:
            raise ValueError(f"a batch of {batch_size} questions, but there are only {len(own)}")
        if n_hard and hard is None:
            raise ValueError("hard negatives are asked for, but none are given")
        self._own, self._hard, self._n_hard = own, hard, n_hard
        self._queries_at, self._passages_at = queries_at, passages_at

    def draw(self, n: int) -> QuestionBatch:
        """The questions that this epoch has next, and a fresh draw of their hard negatives."""
        epoch, place = divmod(n, len(self._own) // self.batch_size)
        # the two draws must not be one: of epoch numbers and of batch numbers
        order = np.random.default_rng((self.seed, epoch, 1)).permutation(len(self._own))
        rows = order[place * self.batch_size :][: self.batch_size]
        columns = [self._own[rows]]
        if self._hard is not None:
            columns += self._hard_ones(rows, self.random(n))
        return QuestionBatch(self._queries_at(rows), self._passages_at(np.stack(columns, axis=1).ravel()))

    def _hard_ones(self, rows: Int[np.ndarray, "batch"], random: np.random.Generator) -> list[Int[np.ndarray, "batch"]]:
        assert self._hard is not None
        there = (self._hard[rows] != NOTHING).sum(1)
        if not there.all():
            raise ValueError("a question has no hard negative")
        return [self._hard[rows, random.integers(there)] for _ in range(self._n_hard)]

    def source(self) -> str:
        """How many questions, and a checksum of the numbers of their passages."""
        numbers = [self._own] if self._hard is None else [self._own, self._hard]
        checksum = zlib.crc32(b"".join(np.ascontiguousarray(part).tobytes() for part in numbers))
        return f"{len(self._own)} questions with {self._n_hard} hard negatives ({checksum:08x})"


def hard_negatives(
    retriever: Retriever, queries: Sequence[str], relevant: Sequence[Sequence[int]], n: int, n_passages: int
) -> Int[np.ndarray, "queries n"]:
    """The n best passages of each query that are not relevant to it, -1 where there are fewer (section 3.2: BM25's).

    Where none was found, one of all `n_passages` at random, the same one in every call. Raises ValueError for a query
    to which all of them are relevant.
    """
    random = np.random.default_rng(0)
    found = retriever.search(queries, n + max(map(len, relevant), default=0)).ids
    negatives = np.full((len(queries), n), NOTHING)
    for row, own in enumerate(relevant):
        wrong = [number for number in found[row].tolist() if number != NOTHING and number not in own][:n]
        if not wrong:
            wrong = [int(random.choice(np.setdiff1d(np.arange(n_passages), own)))]
        negatives[row, : len(wrong)] = wrong
    return negatives


def vectors_at(vectors: Tensor) -> Callable[[Int[np.ndarray, "rows"]], Tensor]:
    """Rows of vectors that are there already."""
    return lambda rows: vectors[torch.from_numpy(rows)]
