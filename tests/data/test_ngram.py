"""The n-gram model against its definition, counted by hand."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.data import ngram
from allyouneed.data.ngram import ngram_loss

VOCAB = 4
tokens = st.lists(st.integers(0, VOCAB - 1), min_size=3, max_size=60)


def probability(train, context, token, order):
    """p(token | context) by the definition, one count at a time."""
    result = 1 / VOCAB
    for n in range(order):
        short = tuple(context[len(context) - n :])
        following = Counter(train[i] for i in range(order - 1, len(train)) if tuple(train[i - n : i]) == short)
        total, kinds = sum(following.values()), len(following)
        if total:
            result = (following[token] + kinds * result) / (total + kinds)
    return result


@given(tokens, tokens, st.integers(1, 3))
def test_the_loss_is_that_of_the_definition(train, held_out, order):
    losses = [
        -math.log(probability(train, held_out[i - order + 1 : i], held_out[i], order))
        for i in range(order - 1, len(held_out))
    ]
    fast = ngram_loss(np.array(train, np.uint8), np.array(held_out, np.uint8), order, VOCAB)
    assert fast == pytest.approx(sum(losses) / len(losses), rel=1e-12)


@given(tokens, st.lists(st.integers(0, VOCAB - 1), min_size=2, max_size=2))
def test_the_probabilities_of_all_next_tokens_sum_to_one(train, context):
    losses = [ngram_loss(np.array(train), np.array([*context, token]), 3, VOCAB) for token in range(VOCAB)]
    assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1, rel=1e-12)


def test_counting_in_chunks_changes_nothing(monkeypatch):
    train, held_out = np.random.default_rng(0).integers(0, VOCAB, size=(2, 500))
    whole = ngram_loss(train, held_out, 3, VOCAB)
    monkeypatch.setattr(ngram, "_CHUNK", 7)
    assert ngram_loss(train, held_out, 3, VOCAB) == whole


def test_bytes_above_127_do_not_overflow():
    train = np.full(1000, 255, dtype=np.uint8)
    assert ngram_loss(train, train, 3) < 0.01


def test_a_vocabulary_too_large_for_a_table_of_counts():
    generator = np.random.default_rng(0)
    train, held_out = (4000 * generator.integers(0, VOCAB, size=300) for _ in range(2))
    spread = ngram_loss(train, held_out, 3, vocab_size=16_000)
    # The same text with its tokens renumbered; only the uniform bottom of an unseen token is another.
    dense = ngram_loss(train // 4000, held_out // 4000, 3, vocab_size=16_000)
    assert spread == dense < math.log(VOCAB) + 0.2


def test_nothing_to_learn_from_is_the_uniform_loss():
    assert ngram_loss(np.array([], np.uint8), np.arange(9, dtype=np.uint8), 3) == pytest.approx(math.log(256))


@pytest.mark.parametrize(("order", "vocab_size", "message"), [(0, 4, "got 0"), (6, 5000, r"5000 \*\* 6"), (9, 2, "9")])
def test_misuse_names_the_value(order, vocab_size, message):
    with pytest.raises(ValueError, match=message):
        ngram_loss(np.zeros(8, np.uint8), np.zeros(8, np.uint8), order, vocab_size)
