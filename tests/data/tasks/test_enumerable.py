"""The enumerable language: rewards by hand, its closed forms against brute force, and what is drawn from it."""

import itertools

import numpy as np
import pytest

from allyouneed.data.tasks.enumerable import (
    Draws,
    Enumerable,
    best_of,
    draw,
    expected,
    kl,
    most_reward,
    tilted,
    with_start,
)

SMALL = Enumerable(n_symbols=3, length=3)


def test_all_sequences_are_there_in_the_order_of_their_digits():
    assert len(Enumerable()) == 46_656
    assert SMALL.sequences.tolist() == [list(word) for word in itertools.product(range(3), repeat=3)]


@pytest.mark.parametrize(
    ("sequence", "reward"),
    [([0, 1, 2], 2.5), ([0, 0, 0], 1.6), ([1, 2, 2], 0.8), ([2, 1, 0], 1.0), ([1, 1, 1], -1.4), ([1, 2, 1], 1.5)],
)
def test_rewards_by_hand(sequence, reward):
    assert SMALL.rewards[int("".join(map(str, sequence)), 3)] == pytest.approx(reward)


def test_the_chain_is_a_chain():
    log_p = SMALL.markov(0)
    p = np.exp(log_p).reshape(3, 3, 3)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    second_given_first = p.sum(2) / p.sum((1, 2))[:, None]
    for a, b in itertools.product(range(3), repeat=2):  # what comes next depends on the last symbol alone
        np.testing.assert_allclose(p[a, b] / p[a, b].sum(), second_given_first[b], rtol=1e-12)
    assert not np.allclose(log_p, SMALL.markov(1))


def test_no_policy_beats_the_closed_form():
    reference, random = SMALL.markov(0), np.random.default_rng(0)
    best = tilted(reference, SMALL.rewards, 0.5)

    def objective(log_p):
        return expected(log_p, SMALL.rewards) - 0.5 * kl(log_p, reference)

    assert objective(best) == pytest.approx(0.5 * np.log(np.exp(reference) @ np.exp(SMALL.rewards / 0.5)), abs=1e-12)
    for size in (1e-3, 0.1, 1.0):
        for _ in range(20):
            other = best + size * random.standard_normal(27)
            assert objective(other - np.logaddexp.reduce(other)) < objective(best)


def test_the_frontier_goes_through_the_closed_forms_and_ends_at_the_best_sequence():
    reference, rewards = SMALL.markov(0), SMALL.rewards
    for beta in (0.2, 1.0, 5.0):
        best = tilted(reference, rewards, beta)
        assert most_reward(reference, rewards, kl(best, reference)) == pytest.approx(expected(best, rewards), abs=1e-9)
    assert most_reward(reference, rewards, 0.0) == pytest.approx(expected(reference, rewards))
    assert most_reward(reference, rewards, 50.0) == pytest.approx(rewards.max(), abs=1e-4)
    with pytest.raises(ValueError, match="not negative"):
        most_reward(reference, rewards, -0.1)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_best_of_n_by_brute_force(n):
    log_p = SMALL.markov(0)
    p, best = np.exp(log_p), np.zeros(27)
    for drawn in itertools.product(range(27), repeat=n):
        first = max(drawn, key=lambda i: SMALL.rewards[i])  # the first drawn among equals
        best[first] += np.prod(p[list(drawn)])
    np.testing.assert_allclose(np.exp(best_of(log_p, SMALL.rewards, n)), best, rtol=1e-9, atol=1e-12)


def test_draws_follow_their_law_and_their_seed():
    log_p = SMALL.markov(0)
    often = np.bincount(draw(log_p, 200_000, np.random.default_rng(0)), minlength=27) / 200_000
    np.testing.assert_allclose(often, np.exp(log_p), atol=5 * np.sqrt(0.25 / 200_000))
    stream, again = (Draws(SMALL, log_p, 8, seed=3) for _ in range(2))
    batch = next(stream)
    assert batch.tokens.tolist() == next(again).tokens.tolist()
    assert (batch.tokens[:, 0] == 0).all()
    assert batch.tokens[:, 1:].tolist() == batch.targets[:, :-1].tolist()
    assert with_start(SMALL.sequences[5:6]).tolist() == [[0, 0, 1, 2]]


def test_preferences_are_bradley_terrys():
    pairs = SMALL.preferences(SMALL.markov(0), 100_000, np.random.default_rng(0))
    margins = SMALL.rewards[pairs[:, 0]] - SMALL.rewards[pairs[:, 1]]
    for size in (0.3, 1.0, 1.7):
        close = np.abs(np.abs(margins) - size) < 1e-9
        won = (margins[close] > 0).mean()
        assert won == pytest.approx(1 / (1 + np.exp(-size)), abs=4 * np.sqrt(0.25 / close.sum()))


def test_what_is_no_language():
    with pytest.raises(ValueError, match="at least 3 symbols"):
        Enumerable(n_symbols=2)
