"""A retriever by vectors: the question's, by an encoder of questions, against an index of the passages'."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from allyouneed.retrieval.hits import Hits, best
from allyouneed.retrieval.index import Index

Encode = Callable[[Sequence[str]], Float[np.ndarray, "texts channels"]]


class DenseRetriever:
    """Searches `index` with what `encode` makes of a question; whose encoder made the index is the caller's affair."""

    def __init__(self, encode: Encode, index: Index) -> None:
        self.encode = encode
        self.index = index

    def search(self, queries: Sequence[str], k: int) -> Hits:
        """The k best passages of each query; see `Retriever`."""
        if not queries:
            return best(np.empty((0, 0)), k)
        return self.index.search(self.encode(queries), k)
