"""BM25 against its definition, word by word; and the order of its hits."""

import math

import numpy as np
import pytest

from allyouneed.retrieval import BM25, Retriever, WordCounts
from allyouneed.retrieval.bm25 import words

WORDS = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]


def draw_texts(n, seed, longest=12):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, size=random.integers(0, longest))) for _ in range(n)]


def defined(query, passage, passages, k1, b):
    """The score by the equation, counting everything anew."""
    split = [text.split() for text in passages]
    average = sum(map(len, split)) / len(split)
    own, total = passage.split(), 0.0
    for word in query.split():
        df = sum(word in other for other in split)
        idf = math.log(1 + (len(split) - df + 0.5) / (df + 0.5))
        tf = own.count(word)
        total += idf * tf / (tf + k1 * (1 - b + b * len(own) / average)) if tf else 0.0
    return total


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.0, 0.5), (2.5, 0.0), (0.4, 1.0)])
def test_scores_are_the_definitions(k1, b):
    passages, queries = draw_texts(40, 0), [*draw_texts(12, 1), "", "unknown word", "ant ant unknown ant"]
    scores = BM25.of(passages, k1, b).scores(queries)
    for query, row in zip(queries, scores):
        assert row == pytest.approx([defined(query, p, passages, k1, b) for p in passages], rel=1e-12, abs=1e-12)


def test_the_best_come_first_and_of_equals_the_lower_number():
    passages = draw_texts(300, 2, longest=5)  # short ones: many are equal
    bm25 = BM25.of(passages)
    assert isinstance(bm25, Retriever)
    queries = draw_texts(30, 3)
    scores = bm25.scores(queries)
    for k in (1, 7, 1000):
        hits = bm25.search(queries, k)
        assert hits.ids.shape == (30, k)
        for row in range(30):
            expected = sorted(np.flatnonzero(scores[row] > 0), key=lambda p: (-scores[row, p], p))[:k]
            assert [i for i in hits.ids[row] if i >= 0] == expected
            assert hits.scores[row, : len(expected)].tolist() == scores[row, expected].tolist()
            assert np.isneginf(hits.scores[row, len(expected) :]).all()


def test_what_shares_no_word_is_no_hit():
    hits = BM25.of(["a cat", "a dog", ""]).search(["Cat!", "bird", ""], 2)
    assert hits.ids.tolist() == [[0, -1], [-1, -1], [-1, -1]]
    assert BM25.of([]).search(["cat"], 2).ids.tolist() == [[-1, -1]]
    assert BM25.of([]).search([], 3).ids.shape == (0, 3)
    assert BM25.of(["", ""]).search(["cat"], 1).ids.tolist() == [[-1]]


def test_blocks_of_queries_change_nothing(monkeypatch):
    passages, queries = draw_texts(50, 4), draw_texts(9, 5)
    whole = BM25.of(passages).search(queries, 5)
    monkeypatch.setattr("allyouneed.retrieval.bm25._BLOCK", 120)
    cut = BM25.of(passages).search(queries, 5)
    assert (whole.ids == cut.ids).all()
    assert (whole.scores == cut.scores).all()


def test_words_are_letters_and_digits_in_lower_case():
    assert words("Über-naïve, x_1: 3.14 don't") == ["über", "naïve", "x_1", "3", "14", "don", "t"]


def test_counts_serve_any_k1_and_b():
    counts = WordCounts.of(draw_texts(30, 6))
    assert (
        BM25(counts, 0.9, 0.4).scores(["ant bee"]) == BM25.of(draw_texts(30, 6), 0.9, 0.4).scores(["ant bee"])
    ).all()
    assert counts.lengths.tolist() == [len(text.split()) for text in draw_texts(30, 6)]


@pytest.mark.parametrize(("k1", "b"), [(-0.1, 0.5), (1.0, 1.1), (1.0, -0.1)])
def test_settings_out_of_range_are_refused(k1, b):
    with pytest.raises(ValueError, match="BM25 needs"):
        BM25.of(["a"], k1, b)
    with pytest.raises(ValueError, match="k must be at least 1"):
        BM25.of(["a"]).search(["a"], 0)
