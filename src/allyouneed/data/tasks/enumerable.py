"""A language small enough to enumerate: what an alignment method should find is known, and so is what it found.

Six symbols, six places, 6^6 = 46,656 sequences y, and an exact reward r(y). Of a policy pi with log-probabilities for
all of them, E_pi[r] and KL(pi || ref) are sums, not estimates, and the most reward within a KL has a closed form:

    max_pi E_pi[r] - beta KL(pi || ref)   is reached at   pi*_beta(y) = ref(y) exp(r(y) / beta) / Z

(Rafailov et al., 2023, arXiv:2305.18290, equation 4). Sequences are numbered by their digits, the first symbol the
highest. Text to fit a reference policy to comes from a Markov chain; preferences are drawn as Bradley and Terry have
it (1952; equation 1 of the paper): of two sequences, a is preferred to b with probability sigmoid(r(a) - r(b)).
"""

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int

from allyouneed.data.batch import TokenBatch
from allyouneed.data.stream import NumberedStream

_BISECTIONS = 60  # halvings of the logarithm of beta: to the last bits of a float64


@dataclass(frozen=True)
class Enumerable:
    """All sequences of `length` symbols out of `n_symbols` (three at least), and what each is worth.

    The reward is 1 for each symbol 0, 1.5 for each 1 that a 2 follows, and -0.7 for each symbol that its own kind
    follows: it looks at neighbours, so that no single symbol's frequency gives it.
    """

    n_symbols: int = 6
    length: int = 6

    def __post_init__(self) -> None:
        if self.n_symbols < 3 or self.length < 1:
            raise ValueError(f"at least 3 symbols and 1 place are needed, got {self.n_symbols} and {self.length}")

    def __len__(self) -> int:
        return self.n_symbols**self.length

    @cached_property
    def sequences(self) -> Int[np.ndarray, "all length"]:
        """Row i is sequence number i."""
        places = self.n_symbols ** np.arange(self.length)[::-1]
        return np.arange(len(self))[:, None] // places % self.n_symbols

    @cached_property
    def rewards(self) -> Float[np.ndarray, "all"]:
        """What each sequence is worth."""
        left, right = self.sequences[:, :-1], self.sequences[:, 1:]
        zeros = (self.sequences == 0).sum(1)
        return zeros + 1.5 * ((left == 1) & (right == 2)).sum(1) - 0.7 * (left == right).sum(1)

    def markov(self, seed: int) -> Float[np.ndarray, "all"]:
        """Log-probabilities of all sequences under a first-order chain drawn from `seed`: the text there is.

        Logits are normal, of deviation 0.7 for the first symbol and 1 for the next ones.
        """
        random = np.random.default_rng(seed)
        first = 0.7 * random.standard_normal(self.n_symbols)
        next_ = random.standard_normal((self.n_symbols, self.n_symbols))
        first, next_ = normalised(first), np.stack([normalised(row) for row in next_])
        return first[self.sequences[:, 0]] + next_[self.sequences[:, :-1], self.sequences[:, 1:]].sum(1)

    def preferences(
        self, log_p: Float[np.ndarray, "all"], n: int, random: np.random.Generator
    ) -> Int[np.ndarray, "n 2"]:
        """n pairs of sequences drawn from a policy, by number; in each the preferred one stands first."""
        pairs = draw(log_p, 2 * n, random).reshape(n, 2)
        margin = self.rewards[pairs[:, 0]] - self.rewards[pairs[:, 1]]
        first_wins = random.random(n) < 1 / (1 + np.exp(-margin))
        return np.where(first_wins[:, None], pairs, pairs[:, ::-1])


def normalised(logits: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Log-probabilities in proportion to exp(logits)."""
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def draw(log_p: Float[np.ndarray, "all"], n: int, random: np.random.Generator) -> Int[np.ndarray, "n"]:
    """The numbers of n sequences drawn independently."""
    sums = np.exp(log_p).cumsum()
    return np.searchsorted(sums, random.random(n) * sums[-1], side="right")


def tilted(
    reference: Float[np.ndarray, "all"], rewards: Float[np.ndarray, "all"], beta: float
) -> Float[np.ndarray, "all"]:
    """Log-probabilities of pi*_beta: the reference times exp(reward / beta), normalised."""
    return normalised(reference + rewards / beta)


def kl(log_p: Float[np.ndarray, "all"], reference: Float[np.ndarray, "all"]) -> float:
    """KL(p || reference) in nats."""
    return float(np.exp(log_p) @ (log_p - reference))


def expected(log_p: Float[np.ndarray, "all"], rewards: Float[np.ndarray, "all"]) -> float:
    """The mean reward of a policy's sequences."""
    return float(np.exp(log_p) @ rewards)


def most_reward(reference: Float[np.ndarray, "all"], rewards: Float[np.ndarray, "all"], nats: float) -> float:
    """The frontier: the largest mean reward of any policy at most `nats` away from the reference.

    It is that of pi*_beta whose KL is `nats`; beyond the KL at which all weight lies on the best sequences it rises
    no more. Raises ValueError for a negative distance.
    """
    if nats < 0:
        raise ValueError(f"a KL is not negative, got {nats}")
    if nats == 0:
        return expected(reference, rewards)
    # pi*_beta keeps the reference's proportions among sequences of one reward, so what counts is each level's share.
    levels, of = np.unique(rewards, return_inverse=True)
    shares = np.log(np.bincount(of, weights=np.exp(reference), minlength=len(levels)))
    low, high = -12.0, 12.0  # log beta, in units in which rewards differ by about one
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_far = kl(tilted(shares, levels, float(np.exp(middle))), shares) > nats
        low, high = (middle, high) if too_far else (low, middle)
    return expected(tilted(shares, levels, float(np.exp(high))), levels)


def best_of(log_p: Float[np.ndarray, "all"], scores: Float[np.ndarray, "all"], n: int) -> Float[np.ndarray, "all"]:
    """Log-probabilities of the sequence with the highest score among n draws; of equal ones the first drawn.

    With F(s) the probability of a score at most s, the best scores s with F(s)^n - F(s-)^n, shared among the
    sequences of that score as the policy shares it.
    """
    levels, of = np.unique(scores, return_inverse=True)
    at = np.bincount(of, weights=np.exp(log_p), minlength=len(levels))
    up_to = np.minimum(at.cumsum(), 1.0)
    below = np.concatenate([[0.0], up_to[:-1]])
    best = up_to**n - below**n
    with np.errstate(divide="ignore"):
        return log_p + np.log(best)[of] - np.log(at)[of]


class Draws(NumberedStream[TokenBatch]):
    """Endless batches of sequences drawn from log-probabilities: a text for a model to learn."""

    def __init__(self, language: Enumerable, log_p: Float[np.ndarray, "all"], batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.language, self.log_p = language, log_p

    def draw(self, n: int) -> TokenBatch:
        """Each sequence behind a first token that says nothing, as `with_start` has it."""
        rows = self.language.sequences[draw(self.log_p, self.batch_size, self.random(n))]
        tokens = torch.from_numpy(with_start(rows))
        return TokenBatch(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())

    def source(self) -> str:
        """The language, and a checksum of the log-probabilities."""
        return f"{self.language} ({zlib.crc32(self.log_p.tobytes()):08x})"


def with_start(sequences: Int[np.ndarray, "n length"]) -> Int[np.ndarray, "n length+1"]:
    """What a model reads: symbol 0 in front of each, so that the first symbol is predicted, too. No token is spent on
    it: a model that knows positions tells it from a 0 of the sequence."""
    return np.pad(sequences, ((0, 0), (1, 0)))
