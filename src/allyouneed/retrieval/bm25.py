"""BM25: passages ranked by the words that they share with a question, rare words counting most.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; in the form of Lucene, the
baseline of Karpukhin et al., arXiv:2004.04906, section 5:

    score(q, p) = sum over the words t of q of  idf(t) tf / (tf + k1 (1 - b + b length(p) / mean length))
    idf(t) = ln(1 + (N - df + 1/2) / (df + 1/2))

| code | symbol |
| --- | --- |
| counts | tf, the times that word t stands in passage p |
| n_with | df, the passages with word t |
| n_passages | N |
| lengths | length of p, in words |
| k1, b | how soon more of a word stops to count; how much long passages pay for their length |

A word that a question repeats counts as often. The usual factor k1 + 1 changes no order and is left out, as in Lucene
since version 8. Words are runs of letters and digits in lower case: no stems, no stop words.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from allyouneed.retrieval.hits import Hits, best

K1, B = 1.2, 0.75  # Lucene's
_WORD = re.compile(r"\w+")
_BLOCK = 1 << 24  # scores held at once


def words(text: str) -> list[str]:
    """The words of a text as BM25 sees them."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True, eq=False)
class WordCounts:
    """How often each word stands in each passage, word by word: those of word w are entries starts[w] to
    starts[w + 1] of `passages` (ascending) and `counts`."""

    vocabulary: dict[str, int]
    starts: Int[np.ndarray, "words_and_one"]
    passages: Int[np.ndarray, "entries"]
    counts: Int[np.ndarray, "entries"]
    n_passages: int

    @classmethod
    def of(cls, texts: Iterable[str]) -> "WordCounts":
        """Counted anew; words are numbered as they come."""
        vocabulary: dict[str, int] = {}
        of_word: list[int] = []
        passages: list[int] = []
        counts: list[int] = []
        n_passages = 0
        for text in texts:
            for word, count in Counter(words(text)).items():
                of_word.append(vocabulary.setdefault(word, len(vocabulary)))
                passages.append(n_passages)
                counts.append(count)
            n_passages += 1
        order = np.argsort(np.array(of_word, dtype=np.int64), kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(of_word, minlength=len(vocabulary)))]).astype(np.int64)
        where, how_often = (np.array(column, dtype=np.int32)[order] for column in (passages, counts))
        return cls(vocabulary, starts, where, how_often, n_passages)

    @cached_property
    def lengths(self) -> Float[np.ndarray, "passages"]:
        """Words in each passage."""
        counts = self.counts.astype(np.float64)  # of none bincount would give integers
        return np.bincount(self.passages, weights=counts, minlength=self.n_passages).astype(np.float64)


class BM25:
    """A retriever over passages whose words have been counted. Passages that share no word with a query are no hits.

    Raises ValueError unless k1 >= 0 and 0 <= b <= 1.
    """

    def __init__(self, counts: WordCounts, k1: float = K1, b: float = B) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise ValueError(f"BM25 needs k1 >= 0 and b in [0, 1], got k1 = {k1}, b = {b}")
        self._words = counts
        n_with = np.diff(counts.starts)
        idf = np.log1p((counts.n_passages - n_with + 0.5) / (n_with + 0.5))
        average = counts.lengths.mean() if counts.n_passages else 1.0
        penalty = k1 * (1 - b + b * counts.lengths / (average or 1.0))  # no word anywhere: nothing is looked up
        tf = counts.counts.astype(float)
        self._weights = np.repeat(idf, n_with) * tf / (tf + penalty[counts.passages])

    @classmethod
    def of(cls, texts: Iterable[str], k1: float = K1, b: float = B) -> "BM25":
        """Over these passages."""
        return cls(WordCounts.of(texts), k1, b)

    def search(self, queries: Sequence[str], k: int) -> Hits:
        """The k best passages of each query; see `Retriever`."""
        rows = max(1, _BLOCK // max(1, self._words.n_passages))
        blocks = [
            best(self.scores(queries[first : first + rows]), k, above=0.0) for first in range(0, len(queries), rows)
        ]
        if not blocks:
            return best(self.scores([]), k)
        return Hits(*(np.concatenate([getattr(block, part) for block in blocks]) for part in ("ids", "scores")))

    def scores(self, queries: Sequence[str]) -> Float[np.ndarray, "queries passages"]:
        """The score of every passage for each query: 0 where they share no word."""
        scores = np.zeros((len(queries), self._words.n_passages))
        for row, query in enumerate(queries):
            for word in words(query):
                number = self._words.vocabulary.get(word)
                if number is not None:
                    entries = slice(self._words.starts[number], self._words.starts[number + 1])
                    scores[row, self._words.passages[entries]] += self._weights[entries]
        return scores
