"""The trivial predictor of text: an interpolated n-gram model, what a trained model has to beat.

    p(w | h) = (count(h w) + kinds(h) p(w | h')) / (count(h) + kinds(h))

with h' the context h without its oldest token, kinds(h) the number of different tokens seen after h, and 1 /
vocab_size at the bottom. (Witten and Bell, "The Zero-Frequency Problem", 1991: no weight to fit.)
"""

import numpy as np
from jaxtyping import Int

_CHUNK = 1 << 20  # tokens counted at a time: sorting a chunk in the processor's cache is what makes this fast
_LARGEST_TABLE = 1 << 26  # half a gigabyte of counts; its codes fit 32 bits


def ngram_loss(
    train: Int[np.ndarray, "train_tokens"],
    held_out: Int[np.ndarray, "held_out_tokens"],
    order: int,
    vocab_size: int = 256,
) -> float:
    """Mean loss, in nats per token, on `held_out` of an n-gram model counted on `train`; order 3 is a trigram.

    The first order - 1 tokens of `held_out` lack a context and are not scored. Raises ValueError for an order below
    1, a held-out text without a scored token, or vocab_size ** order beyond a table of 2 ** 26 counts.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}")
    if vocab_size**order > _LARGEST_TABLE:
        raise ValueError(f"a table of {vocab_size} ** {order} counts is too large (at most {_LARGEST_TABLE})")
    if len(held_out) < order:
        raise ValueError(f"the held-out text has {len(held_out)} tokens, order {order} needs at least {order}")
    counts = _count(train, order, vocab_size)
    probability = np.full(len(held_out) - order + 1, 1 / vocab_size)
    for n in range(1, order + 1):
        # all tokens counted have the full context, so a shorter one's counts are sums over what came before it
        table = counts.reshape(-1, vocab_size**n).sum(axis=0).reshape(-1, vocab_size)
        codes = _codes(held_out[order - n :], n, vocab_size)
        seen, context = table.reshape(-1)[codes], codes // vocab_size
        kinds, total = np.count_nonzero(table, axis=1)[context], table.sum(axis=1)[context]
        known = total > 0
        probability[known] = (seen + kinds * probability)[known] / (total + kinds)[known]
    return float(-np.log(probability).mean())


def _codes(tokens: Int[np.ndarray, "total"], n: int, vocab_size: int) -> Int[np.ndarray, "grams"]:
    """Every run of n tokens as one number, its last token the lowest digit in base vocab_size."""
    grams = max(len(tokens) - n + 1, 0)
    code = np.zeros(grams, dtype=np.int32)
    for offset in range(n):
        code *= vocab_size
        code += tokens[offset : offset + grams].astype(np.int32)
    return code


def _count(tokens: Int[np.ndarray, "total"], n: int, vocab_size: int) -> Int[np.ndarray, "codes"]:
    """How often each run of n tokens occurs."""
    counts = np.zeros(vocab_size**n, dtype=np.int64)
    for first in range(0, len(tokens), _CHUNK):
        codes, times = np.unique(_codes(tokens[first : first + _CHUNK + n - 1], n, vocab_size), return_counts=True)
        counts[codes] += times
    return counts
