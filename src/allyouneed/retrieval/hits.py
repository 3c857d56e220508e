"""What a search gives, and the order that it comes in: the best first, of equals the lower number.

Every retriever keeps to this order, so that a ranking is the same whichever library computed the scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

NOTHING = -1  # in place of a passage's number, where there are fewer than k hits


@dataclass(frozen=True)
class Hits:
    """The k best passages of each query, best first: their numbers, and their scores (of a kind of the retriever's
    own). Where there are fewer, the number is -1 and the score -inf."""

    ids: Int[np.ndarray, "queries k"]
    scores: Float[np.ndarray, "queries k"]


@runtime_checkable
class Retriever(Protocol):
    """Anything that finds passages for questions; passages are numbered from 0."""

    def search(self, queries: Sequence[str], k: int) -> Hits:
        """The k best passages of each query. Raises ValueError for k below 1."""
        ...


def best(
    scores: Float[np.ndarray, "queries n"],
    k: int,
    ids: Int[np.ndarray, "queries n"] | None = None,
    above: float = -np.inf,
) -> Hits:
    """The k largest scores of each row that exceed `above`, in their order.

    ids: whose scores they are; their places unless given. Raises ValueError for k below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    n_queries, n = scores.shape
    found = Hits(np.full((n_queries, k), NOTHING), np.full((n_queries, k), -np.inf))
    for row in range(n_queries):
        of_row = scores[row]
        if k < n:  # the k-th largest, and all its equals
            of_row = np.where(of_row >= np.partition(of_row, n - k)[n - k], of_row, -np.inf)
        places = np.flatnonzero(of_row > above)
        numbers = places if ids is None else ids[row, places]
        order = np.lexsort((numbers, -of_row[places]))[:k]
        found.ids[row, : len(order)] = numbers[order]
        found.scores[row, : len(order)] = of_row[places[order]]
    return found
