"""How good rankings are, as trec_eval defines it; one number a query.

Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, for nDCG. What was judged are grades
by the number of the passage: above 0 is relevant, what is not listed is not. A query with nothing relevant has 0.
trec_eval ranks by score alone and breaks ties by the name of a document, the last in the alphabet first; here the
ranking is given, so that ties are whoever ranked's affair (`hits.best`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from allyouneed.retrieval.hits import NOTHING

Judged = Sequence[Mapping[int, int]]
Ranked = Int[np.ndarray, "queries ranks"]
PerQuery = Float[np.ndarray, "queries"]


def ndcg(ids: Ranked, judged: Judged, k: int) -> PerQuery:
    """Discounted gain of the first k, sum of grade / log2(1 + rank), as a share of what the best ranking would have."""
    gains = _grades(ids, judged)[:, :k]
    possible = [sorted((max(0, grade) for grade in grades.values()), reverse=True)[:k] for grades in judged]
    most = np.array([float(np.sum(grades / _discount(len(grades)))) for grades in possible])
    return _share((gains / _discount(gains.shape[1])).sum(1), most)


def reciprocal_rank(ids: Ranked, judged: Judged) -> PerQuery:
    """1 / the rank of the first relevant passage, 0 if none was found."""
    rank = first_rank(ids, judged)
    return np.where(np.isfinite(rank), 1 / rank, 0.0)


def first_rank(ids: Ranked, judged: Judged) -> PerQuery:
    """The rank of the first relevant passage, from 1; infinity if none was found."""
    relevant = _grades(ids, judged) > 0
    return np.where(relevant.any(1), 1.0 + relevant.argmax(1), np.inf)


def recall(ids: Ranked, judged: Judged, k: int) -> PerQuery:
    """The share of the relevant passages that are among the first k."""
    return _share((_grades(ids, judged)[:, :k] > 0).sum(1), _n_relevant(judged))


def average_precision(ids: Ranked, judged: Judged) -> PerQuery:
    """The mean, over all relevant passages, of the precision where each was found (0 where it was not)."""
    relevant = _grades(ids, judged) > 0
    precision = relevant.cumsum(1) / np.arange(1, relevant.shape[1] + 1)
    return _share((precision * relevant).sum(1), _n_relevant(judged))


def accuracy(ids: Ranked, judged: Judged, k: int) -> PerQuery:
    """1 if a relevant passage is among the first k, else 0: the top-k accuracy of arXiv:2004.04906."""
    return (_grades(ids, judged)[:, :k] > 0).any(1).astype(float)


def by_document(ids: Ranked, documents: Sequence[int]) -> Ranked:
    """The documents of ranked passages, each where its first passage stands; `documents` has that of each passage."""
    ranked = np.full(ids.shape, NOTHING)
    for row, of_query in enumerate(ids.tolist()):
        found = list(dict.fromkeys(documents[number] for number in of_query if number != NOTHING))
        ranked[row, : len(found)] = found
    return ranked


def _grades(ids: Ranked, judged: Judged) -> Float[np.ndarray, "queries ranks"]:
    """The grade at each rank, 0 for what is not relevant. Raises ValueError unless all queries were judged, and for a
    passage that stands twice in a ranking."""
    if len(ids) != len(judged):
        raise ValueError(f"{len(ids)} rankings, but judgements for {len(judged)} queries")
    for row in ids:
        found = row[row != NOTHING]
        if len(np.unique(found)) != len(found):
            raise ValueError("a ranking has one passage twice")
    grades = [[max(0, of_query.get(number, 0)) for number in row] for row, of_query in zip(ids.tolist(), judged)]
    return np.array(grades, dtype=float).reshape(ids.shape)


def _n_relevant(judged: Judged) -> PerQuery:
    return np.array([sum(grade > 0 for grade in grades.values()) for grades in judged], dtype=float)


def _discount(n: int) -> Float[np.ndarray, "n"]:
    return np.log2(np.arange(2, n + 2))


def _share(part: np.ndarray, whole: np.ndarray) -> PerQuery:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
