"""The two indexes against a plain sort in float64: equal hits, scores and order, also of ties and near-ties."""

import numpy as np
import pytest

from allyouneed.errors import MissingExtra
from allyouneed.retrieval import DenseRetriever, FaissIndex, Hybrid, Retriever, TorchIndex, exact_index
from allyouneed.retrieval.hits import Hits, best

INDEXES = [TorchIndex, FaissIndex]


def draw(n, channels, seed, copies=0):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, channels)).astype(np.float32)
    if copies:
        vectors[random.integers(0, n, copies)] = vectors[0]
    return vectors


def sorted_all(vectors, queries, k):
    """By the definition: every product in float64, each summed alike, then a sort."""
    scores = np.array([[(v.astype(float) * q.astype(float)).sum() for v in vectors] for q in queries])
    order = np.array([sorted(range(len(vectors)), key=lambda i: (-row[i], i))[:k] for row in scores])
    return order, np.take_along_axis(scores, order, 1)


@pytest.mark.parametrize("make", INDEXES)
@pytest.mark.parametrize(("n", "channels", "k", "copies"), [(200, 7, 5, 0), (300, 33, 20, 120), (40, 16, 40, 10)])
def test_the_hits_are_those_of_a_full_sort(make, n, channels, k, copies):
    vectors, queries = draw(n, channels, 0, copies), draw(25, channels, 1)
    queries[0] = vectors[0]  # its copies come first, and there are more of them than k
    ids, scores = sorted_all(vectors, queries, k)
    hits = make(vectors).search(queries, k)
    assert hits.ids.tolist() == ids.tolist()
    assert hits.scores == pytest.approx(scores, abs=1e-12)


@pytest.mark.parametrize("make", INDEXES)
def test_what_float32_cannot_tell_apart_is_ranked_all_the_same(make):
    """Products of about 1000 that differ by less than float32 holds there, in the reverse of their numbers' order."""
    vectors = np.zeros((60, 4), dtype=np.float32)
    vectors[:, 0] = 1000.0
    vectors[:, 1] = np.linspace(0, 1e-6, 60)
    query = np.array([[1.0, 1.0, 0.0, 0.0]], dtype=np.float32)
    assert make(vectors).search(query, 3).ids.tolist() == [[59, 58, 57]]


@pytest.mark.parametrize("make", INDEXES)
def test_more_hits_than_vectors_and_no_vectors_at_all(make):
    vectors = draw(3, 4, 2)
    hits = make(vectors).search(vectors[:2], 5)
    assert (hits.ids[:, 3:] == -1).all()
    assert np.isneginf(hits.scores[:, 3:]).all()
    assert sorted(hits.ids[0, :3].tolist()) == [0, 1, 2]
    assert make(np.empty((0, 4), np.float32)).search(vectors, 2).ids.tolist() == [[-1, -1]] * 3
    assert make(vectors).search(vectors[:0], 2).ids.shape == (0, 2)


@pytest.mark.parametrize("make", INDEXES)
def test_what_cannot_be_searched_is_refused(make):
    with pytest.raises(ValueError, match="must be finite"):
        make(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="vectors of 4 numbers"):
        make(draw(3, 4, 0)).search(draw(1, 5, 0), 1)
    with pytest.raises(ValueError, match="k must be at least 1"):
        make(draw(3, 4, 0)).search(draw(1, 4, 0), 0)


def test_blocks_of_queries_change_nothing(monkeypatch):
    vectors, queries = draw(100, 8, 3, copies=30), draw(17, 8, 4)
    whole = TorchIndex(vectors).search(queries, 6)
    monkeypatch.setattr("allyouneed.retrieval.index._BLOCK", 400)
    assert (TorchIndex(vectors).search(queries, 6).ids == whole.ids).all()


def test_without_faiss_torch_searches(monkeypatch):
    vectors = draw(10, 4, 0)
    assert isinstance(exact_index(vectors), FaissIndex)
    monkeypatch.setattr("allyouneed.retrieval.index.find_spec", lambda name: None)
    assert isinstance(exact_index(vectors), TorchIndex)
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"allyouneed\[retrieval\]"):
        FaissIndex(vectors)


def test_a_dense_retriever_searches_with_what_its_encoder_makes():
    vectors = draw(20, 4, 5)
    retriever = DenseRetriever(lambda texts: vectors[[int(text) for text in texts]], TorchIndex(vectors))
    assert isinstance(retriever, Retriever)
    assert (retriever.search(["3", "8"], 4).ids == TorchIndex(vectors).search(vectors[[3, 8]], 4).ids).all()
    assert retriever.search([], 4).ids.shape == (0, 4)


class Fixed:
    """A retriever that always finds the same."""

    def __init__(self, ids, scores):
        self.hits = Hits(np.array([ids]), np.array([scores]))

    def search(self, queries, k):
        return self.hits


def test_a_hybrid_adds_shares_of_scores():
    words, vectors = Fixed([4, 7, 1], [30.0, 20.0, 10.0]), Fixed([7, 9, -1], [0.9, 0.8, -np.inf])
    hybrid = Hybrid([(words, 1.0), (vectors, 0.5)])
    assert isinstance(hybrid, Retriever)
    hits = hybrid.search(["?"], 5)
    # 4: 1 + 0; 7: 1/2 + 1/2; 1 and 9 were the last of their lists
    assert hits.ids.tolist() == [[4, 7, 1, 9, -1]]
    assert hits.scores[0, :4] == pytest.approx([1.0, 1.0, 0.0, 0.0])
    assert Hybrid([(words, 0.9), (vectors, 0.5)]).search(["?"], 1).ids.tolist() == [[7]]
    one = Fixed([3, -1, -1], [5.0, -np.inf, -np.inf])
    assert Hybrid([(one, 1.0)]).search(["?"], 2).scores[0, 0] == 1.0
    with pytest.raises(ValueError, match="needs retrievers"):
        Hybrid([])


def test_best_of_few():
    hits = best(np.array([[0.5, 2.0, 2.0, -1.0]]), 3, ids=np.array([[8, 6, 3, 1]]), above=0.0)
    assert hits.ids.tolist() == [[3, 6, 8]]
