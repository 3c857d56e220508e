"""Several retrievers as one: a weighted sum of their scores.

As in Karpukhin et al., arXiv:2004.04906, section 5 (BM25 + 1.1 times the inner product, over the best passages of
each), but each retriever's scores are first brought to 0 .. 1 over its own best, so that one weight suits all models:

    score(p) = sum over the retrievers of  weight (s(p) - s_last) / (s_first - s_last),   0 for what one did not find.
"""

from collections.abc import Sequence

import numpy as np

from allyouneed.retrieval.hits import NOTHING, Hits, Retriever, best


class Hybrid:
    """Each part is a retriever over the same passages with its weight; each gives its `depth` best.

    Raises ValueError if there is no part, or a weight is negative.
    """

    def __init__(self, parts: Sequence[tuple[Retriever, float]], depth: int = 100) -> None:
        if not parts or any(weight < 0 for _, weight in parts):
            raise ValueError("a hybrid needs retrievers, none of them with a negative weight")
        self._parts = tuple(parts)
        self._depth = depth

    def search(self, queries: Sequence[str], k: int) -> Hits:
        """The k best passages of each query; see `Retriever`."""
        depth = max(k, self._depth)
        return combine([retriever.search(queries, depth) for retriever, _ in self._parts], self.weights, k)

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the parts."""
        return tuple(weight for _, weight in self._parts)


def combine(lists: Sequence[Hits], weights: Sequence[float], k: int) -> Hits:
    """The k best of several lists of hits for the same queries."""
    n_queries = len(lists[0].ids)
    found = best(np.empty((n_queries, 0)), k)
    for row in range(n_queries):
        total: dict[int, float] = {}
        for hits, weight in zip(lists, weights, strict=True):
            there = hits.ids[row] != NOTHING
            for number, share in zip(hits.ids[row, there].tolist(), _shares(hits.scores[row, there])):
                total[number] = total.get(number, 0.0) + weight * share
        ids, scores = np.array([[*total]], dtype=np.int64), np.array([[*total.values()]])
        of_row = best(scores, k, ids=ids)
        found.ids[row], found.scores[row] = of_row.ids[0], of_row.scores[0]
    return found


def _shares(scores: np.ndarray) -> list[float]:
    """Scores in descending order, brought to 0 .. 1; all 1 if there is no difference."""
    if not len(scores):
        return []
    spread = scores[0] - scores[-1]
    return ((scores - scores[-1]) / spread if spread > 0 else np.ones(len(scores))).tolist()
