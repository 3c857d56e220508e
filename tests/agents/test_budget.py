"""The optimiser against brute force, and what bounds a cascade from above and below."""

import itertools

import numpy as np
import pytest

from allyouneed.agents.bounds import chord, oracle
from allyouneed.agents.budget import Chain, Logged, frontier


def logs(seed, n=25, n_models=3, levels=None, scoring=False):
    """Random logs; `levels` draws scores from so few values that many tie. Costs are whole, so that sums are exact."""
    random = np.random.default_rng(seed)
    correct = random.random((n, n_models)) < np.linspace(0.4, 0.8, n_models)
    scores = (
        correct * 0.3 + random.random((n, n_models))
        if levels is None
        else random.integers(levels, size=(n, n_models)) / 4
    )
    costs = random.integers(1, 10, size=(n, n_models)) * np.array([1, 5, 30])[:n_models]
    extra = random.integers(0, 3, size=n_models).astype(float) if scoring else None
    return Logged(scores.astype(float), correct, costs.astype(float), extra)


def every_chain(logged):
    """All chains of up to three models with every threshold that is a score, or below all of them: one by one."""
    for length in (1, 2, 3):
        for models in itertools.permutations(range(logged.correct.shape[1]), length):
            values = [[-1.0, *np.unique(logged.scores[:, k])] for k in models[:-1]]
            for thresholds in itertools.product(*values):
                yield followed_by_hand(logged, models, thresholds)


def followed_by_hand(logged, models, thresholds):
    right = cost = 0
    for i in range(len(logged)):
        for place, k in enumerate(models):
            cost += logged.costs[i, k]
            if place == len(models) - 1:
                right += logged.correct[i, k]
            else:
                cost += 0 if logged.scoring is None else logged.scoring[k]
                if logged.scores[i, k] > thresholds[place]:
                    right += logged.correct[i, k]
                    break
    return int(right), float(cost)


@pytest.mark.parametrize(
    ("seed", "how"),
    [
        (0, {}),
        (1, {"n": 12}),
        (2, {"levels": 4}),
        (3, {"levels": 2, "n": 30}),
        (4, {"scoring": True}),
        (5, {"n_models": 2}),
        (6, {"n": 1}),
    ],
)
def test_the_frontier_is_that_of_brute_force(seed, how):
    logged = logs(seed, **{"n": 14} | how)
    found = frontier(logged)
    tried = list(every_chain(logged))
    for count in range(len(logged) + 1):
        costs = [cost for right, cost in tried if right == count]
        # A chain that accepts everything is shorter and cheaper than it looks: only what is best must agree.
        better = [cost for right, cost in tried if right >= count]
        assert found.cost[count:].min() == min(better, default=np.inf)
        if costs and min(costs) == min(better):
            assert found.cost[count] == min(costs)
    for budget in np.unique([cost for _, cost in tried]):
        best = max(right for right, cost in tried if cost <= budget)
        paths = logged.follow(found.within(budget / len(logged)))
        assert paths.correct.sum() == best
        assert paths.cost.sum() <= budget
    for accuracy in np.arange(max(right for right, _ in tried) + 1) / len(logged):
        paths = logged.follow(found.reaching(accuracy))
        assert paths.correct.mean() >= accuracy
        assert paths.cost.sum() == min(cost for right, cost in tried if right >= accuracy * len(logged) - 1e-9)


def test_a_chain_does_what_the_frontier_says_of_it():
    logged = logs(7, n=200, scoring=True)
    found = frontier(logged)
    kept = [(count, chain) for count, chain in enumerate(found.chains) if chain is not None]
    assert {len(chain.models) for _, chain in kept} == {1, 2, 3} or len(kept) > 20
    for count, chain in kept:
        paths = logged.follow(chain)
        assert paths.correct.sum() == count
        assert paths.cost.sum() == pytest.approx(found.cost[count], rel=1e-12)


def test_points_rise_in_cost_and_accuracy_and_end_at_the_best():
    found = frontier(logs(8, n=100))
    cost, accuracy = found.points()
    assert (np.diff(cost) > 0).all()
    assert (np.diff(accuracy) > 0).all()
    assert (cost[0], accuracy[-1]) == (found.least, found.best)


def test_what_cannot_be_had_is_told_with_what_can():
    found = frontier(logs(9))
    with pytest.raises(ValueError, match=rf"costs as little as 0.1 a question; the least is {found.least:g}"):
        found.within(0.1)
    with pytest.raises(ValueError, match=r"right as often as 1.5000"):
        found.reaching(1.5)


@pytest.mark.parametrize(("models", "thresholds"), [((), ()), ((0, 1), ()), ((0, 0), (0.5,))])
def test_chains_that_are_none_are_refused(models, thresholds):
    with pytest.raises(ValueError, match=r"threshold|twice"):
        Chain(models, thresholds)


def test_logs_that_do_not_fit_are_refused():
    good = logs(0)
    with pytest.raises(ValueError, match=r"one shape"):
        Logged(good.scores[:3], good.correct, good.costs)
    with pytest.raises(ValueError, match=r"finite"):
        Logged(good.scores * np.nan, good.correct, good.costs)
    with pytest.raises(ValueError, match=r"max_length"):
        frontier(good, max_length=4)


# Bounds


def test_no_chain_beats_the_oracle():
    logged = logs(10, n=20)
    known = oracle(logged)
    assert known.correct.sum() == logged.correct.any(axis=1).sum()
    for i in range(20):
        right = [logged.costs[i, k] for k in range(3) if logged.correct[i, k]]
        assert known.cost[i] == (min(right) if right else logged.costs[i].min())
    for count, cost in enumerate(frontier(logged).cost):
        assert count <= known.correct.sum() or np.isinf(cost)


def test_the_chord_is_the_upper_hull_of_the_models():
    accuracy, cost = np.array([0.5, 0.55, 0.9, 0.85]), np.array([1.0, 5.0, 11.0, 20.0])
    shares = chord(accuracy, cost, 6.0)
    assert shares.tolist() == [0.5, 0.0, 0.5, 0.0]  # the second model lies below the line
    assert chord(accuracy, cost, 11.0).tolist() == chord(accuracy, cost, 50.0).tolist() == [0, 0, 1, 0]
    assert chord(accuracy, cost, 1.0).tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match=r"cheapest model costs 1"):
        chord(accuracy, cost, 0.5)


def test_a_coin_without_knowledge_does_what_the_chord_says():
    """A chain whose scores say nothing wastes the first model's cost; the coin is what it must beat."""
    random = np.random.default_rng(11)
    correct = random.random((40_000, 2)) < [0.5, 0.9]
    costs = np.tile([1.0, 10.0], (40_000, 1))
    shares = chord(correct.mean(axis=0), costs.mean(axis=0), 5.5)
    drawn = random.choice(2, size=40_000, p=shares)
    rows = np.arange(40_000)
    assert costs[rows, drawn].mean() == pytest.approx(5.5, rel=0.02)
    assert correct[rows, drawn].mean() == pytest.approx(float(shares @ [0.5, 0.9]), abs=0.01)
