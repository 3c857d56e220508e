"""The trivial predictor of text: an interpolated n-gram model, what a trained model has to beat.

    p(w | h) = (count(h w) + kinds(h) p(w | h')) / (count(h) + kinds(h))

with h' the context h without its oldest token, kinds(h) the number of different tokens seen after h, and 1 /
vocab_size at the bottom. (Witten and Bell, "The Zero-Frequency Problem", 1991: no weight to fit.)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

_CHUNK = 1 << 20  # tokens counted at a time: sorting a chunk in the processor's cache is what makes this fast
_LARGEST_CODE = 1 << 62


@dataclass(frozen=True)
class _Counts:
    """How often each run of tokens occurs; a run is one number, its last token the lowest digit. Sorted."""

    codes: Int[np.ndarray, "kinds"]
    times: Int[np.ndarray, "kinds"]

    @classmethod
    def summed(cls, codes: Int[np.ndarray, "parts"], times: Int[np.ndarray, "parts"]) -> "_Counts":
        """Counts of which some may be of one run."""
        kinds, of = np.unique(codes, return_inverse=True)
        return cls(kinds, np.bincount(of, weights=times, minlength=len(kinds)).astype(np.int64))

    def of(self, codes: Int[np.ndarray, "asked"]) -> Int[np.ndarray, "asked"]:
        """The count of each run that is asked for."""
        if not len(self.codes):
            return np.zeros(len(codes), dtype=np.int64)
        places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return np.where(self.codes[places] == codes, self.times[places], 0)


def ngram_loss(
    train: Int[np.ndarray, "train_tokens"],
    held_out: Int[np.ndarray, "held_out_tokens"],
    order: int,
    vocab_size: int = 256,
) -> float:
    """Mean loss, in nats per token, on `held_out` of an n-gram model counted on `train`; order 3 is a trigram.

    The first order - 1 tokens of `held_out` lack a context and are not scored. Raises ValueError for an order below
    1, a held-out text without a scored token, or vocab_size ** order beyond 2 ** 62.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}")
    if vocab_size**order > _LARGEST_CODE:
        raise ValueError(f"{vocab_size} ** {order} runs of tokens are too many to number (at most 2 ** 62)")
    if len(held_out) < order:
        raise ValueError(f"the held-out text has {len(held_out)} tokens, order {order} needs at least {order}")
    longest = _count(train, order, vocab_size)
    probability = np.full(len(held_out) - order + 1, 1 / vocab_size)
    for n in range(1, order + 1):
        # all tokens counted have the full context, so a shorter one's counts are sums over what came before it
        counts = _Counts.summed(longest.codes % vocab_size**n, longest.times)
        contexts = counts.codes // vocab_size
        codes = _codes(held_out[order - n :], n, vocab_size)
        seen, context = counts.of(codes), codes // vocab_size
        total = _Counts.summed(contexts, counts.times).of(context)
        kinds = _Counts.summed(contexts, np.ones_like(counts.times)).of(context)
        known = total > 0
        probability[known] = (seen + kinds * probability)[known] / (total + kinds)[known]
    return float(-np.log(probability).mean())


def _codes(tokens: Int[np.ndarray, "total"], n: int, vocab_size: int) -> Int[np.ndarray, "grams"]:
    """Every run of n tokens as one number; in 4 bytes where that suffices, which sort twice as fast."""
    grams = max(len(tokens) - n + 1, 0)
    code = np.zeros(grams, dtype=np.int32 if vocab_size**n < 2**31 else np.int64)
    for offset in range(n):
        code = code * vocab_size + tokens[offset : offset + grams].astype(code.dtype)
    return code


def _count(tokens: Int[np.ndarray, "total"], n: int, vocab_size: int) -> _Counts:
    """How often each run of n tokens occurs."""
    parts = [
        np.unique(_codes(tokens[first : first + _CHUNK + n - 1], n, vocab_size), return_counts=True)
        for first in range(0, max(len(tokens), 1), _CHUNK)
    ]
    codes, times = (np.concatenate(column) for column in zip(*parts))
    return _Counts.summed(codes, times)
