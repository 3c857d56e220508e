"""Vectors in memory, and the exact search for the largest inner products with a question's: by torch, or by faiss.

Both give the same hits, scores and order. They compute in float32, whose rounding depends on the library and on where
a vector stands; so what either finds is taken with a margin of rounding, computed again in float64 and put in order
(`hits.best`). faiss returns equal vectors in no order at all, and a place more than there are vectors as number -1.

Jégou et al.'s faiss, arXiv:1702.08734 and arXiv:2401.08281; exact search is what arXiv:2004.04906, section 3.1, needs
of it.
"""

from abc import ABC, abstractmethod
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Float, Int

from allyouneed.errors import require
from allyouneed.retrieval.hits import Hits, best

_SPARE = 16  # neighbours asked for beyond k, so that a second search is seldom needed
_BLOCK = 1 << 24  # numbers held at once


class Index(ABC):
    """n vectors, numbered as they stand. Raises ValueError for vectors that are not finite."""

    def __init__(self, vectors: Float[np.ndarray, "n channels"]) -> None:
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if not np.isfinite(self.vectors).all():
            raise ValueError("the vectors of an index must be finite")
        # |fl(q . p) - q . p| <= d eps |q| |p|, whatever the order of the sum (eps: 2^-24, and twice that to be sure)
        longest = float(np.linalg.norm(self.vectors, axis=1).max()) if len(self.vectors) else 0.0
        self._rounding = self.vectors.shape[1] * 2.0**-23 * longest

    @abstractmethod
    def _nearest(
        self, queries: Float[np.ndarray, "queries channels"], k: int
    ) -> tuple[Float[np.ndarray, "queries k"], Int[np.ndarray, "queries k"]]:
        """About the k largest inner products of each query, largest first, and the vectors' numbers; k <= n."""

    def search(self, queries: Float[np.ndarray, "queries channels"], k: int) -> Hits:
        """The k vectors with the largest inner product with each query, exactly; see `Hits`.

        Raises ValueError for k below 1, and for queries of another width.
        """
        n, channels = self.vectors.shape
        if queries.ndim != 2 or queries.shape[1] != channels:
            raise ValueError(f"the index has vectors of {channels} numbers, the queries are of shape {queries.shape}")
        found = best(np.empty((len(queries), 0)), k)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        rows = max(1, _BLOCK // max(n, (k + _SPARE) * channels))
        for first in range(0, len(queries) if n else 0, rows):
            block = slice(first, first + rows)
            hits = self._search(queries[block], k)
            found.ids[block], found.scores[block] = hits.ids, hits.scores
        return found

    def _search(self, queries: Float[np.ndarray, "queries channels"], k: int) -> Hits:
        """Ask for ever more until what was left out cannot belong to the first k, then compute those again."""
        n = len(self.vectors)
        margin = 2 * self._rounding * np.linalg.norm(queries, axis=1)
        found = best(np.empty((len(queries), 0)), k)
        rows, asked = np.arange(len(queries)), min(n, k + _SPARE)
        while len(rows):
            scores, ids = self._nearest(queries[rows], asked)
            settled = np.full(len(rows), asked == n)
            if asked < n:
                settled = scores[:, -1] < scores[:, k - 1] - margin[rows]
            exact = _products(queries[rows[settled]], self.vectors, ids[settled])
            hits = best(exact, k, ids=ids[settled])
            found.ids[rows[settled]], found.scores[rows[settled]] = hits.ids, hits.scores
            rows, asked = rows[~settled], min(n, 4 * asked)
        return found


class TorchIndex(Index):
    """The search by one product of matrices. device: where the vectors are held and multiplied."""

    def __init__(self, vectors: Float[np.ndarray, "n channels"], device: str = "cpu") -> None:
        super().__init__(vectors)
        self._held = torch.from_numpy(self.vectors).to(device)

    def _nearest(
        self, queries: Float[np.ndarray, "queries channels"], k: int
    ) -> tuple[Float[np.ndarray, "queries k"], Int[np.ndarray, "queries k"]]:
        scores, ids = (torch.from_numpy(queries).to(self._held.device) @ self._held.T).topk(k, dim=1)
        return scores.cpu().numpy(), ids.cpu().numpy()


class FaissIndex(Index):
    """The search by faiss' IndexFlatIP (extra "retrieval"). Raises MissingExtra without it."""

    def __init__(self, vectors: Float[np.ndarray, "n channels"]) -> None:
        super().__init__(vectors)
        self._faiss = require("faiss", "retrieval").IndexFlatIP(self.vectors.shape[1])
        self._faiss.add(self.vectors)

    def _nearest(
        self, queries: Float[np.ndarray, "queries channels"], k: int
    ) -> tuple[Float[np.ndarray, "queries k"], Int[np.ndarray, "queries k"]]:
        return self._faiss.search(queries, k)


def exact_index(vectors: Float[np.ndarray, "n channels"], device: str = "cpu") -> Index:
    """By faiss where it is installed and the device is the CPU, else by torch."""
    if device == "cpu" and find_spec("faiss") is not None:
        return FaissIndex(vectors)
    return TorchIndex(vectors, device)


def _products(
    queries: Float[np.ndarray, "queries channels"],
    vectors: Float[np.ndarray, "n channels"],
    ids: Int[np.ndarray, "queries k"],
) -> Float[np.ndarray, "queries k"]:
    """Inner products in float64, summed alike wherever a vector stands: equal vectors get equal scores."""
    return (vectors[ids].astype(np.float64) * queries[:, None].astype(np.float64)).sum(axis=2)
