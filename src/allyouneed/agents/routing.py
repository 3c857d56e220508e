"""Routing by the question alone: which model to ask, before any is asked.

Each model k has a score s_k(q), the chance that it will be right, and a mean cost c_k. A question goes to the model
with the largest

    s_k(q) - price * c_k

A price of 0 asks whoever is likeliest to be right; the higher it is, the more questions go to cheap models.
"""

import numpy as np
from jaxtyping import Float

from allyouneed.agents.budget import Logged, Paths


def route(logged: Logged, price: float, mean_cost: Float[np.ndarray, "models"]) -> Paths:
    """Where each question goes, and what it costs: one model is asked, and scoring the question once for each."""
    model = (logged.scores - price * mean_cost).argmax(axis=1)
    rows = np.arange(len(logged))
    scoring = 0.0 if logged.scoring is None else float(logged.scoring.sum())
    return Paths(model, logged.correct[rows, model], logged.costs[rows, model] + scoring)


def price_within(logged: Logged, budget: float) -> float:
    """The price at which routing is most accurate at a mean cost of at most `budget`, on these questions.

    Every price at which the choice between two models turns for some question is tried, 200 of them at most, spread
    evenly. Raises ValueError if even the cheapest model costs more.
    """
    mean_cost = logged.costs.mean(axis=0)
    found = [(path.correct.mean(), -price) for price, path in _tried(logged, mean_cost) if path.cost.mean() <= budget]
    if not found:
        raise ValueError(f"no routing costs as little as {budget:g} a question")
    return -max(found)[1]


def price_reaching(logged: Logged, accuracy: float) -> float:
    """The price at which routing is cheapest with at least this accuracy. Raises ValueError if there is none."""
    mean_cost = logged.costs.mean(axis=0)
    found = [(path.cost.mean(), price) for price, path in _tried(logged, mean_cost) if path.correct.mean() >= accuracy]
    if not found:
        raise ValueError(f"no routing is right as often as {accuracy:.4f}")
    return min(found)[1]


def _tried(logged: Logged, mean_cost: Float[np.ndarray, "models"]) -> list[tuple[float, Paths]]:
    a, b = np.triu_indices(len(mean_cost), 1)
    apart = mean_cost[a] != mean_cost[b]
    turns = (logged.scores[:, a[apart]] - logged.scores[:, b[apart]]) / (mean_cost[a[apart]] - mean_cost[b[apart]])
    turns = np.unique(turns[turns > 0])
    chosen = turns[np.linspace(0, len(turns) - 1, min(200, len(turns))).astype(int)] if len(turns) else turns
    prices = [0.0, *chosen, *([2 * float(chosen[-1])] if len(chosen) else [1.0])]
    return [(float(price), route(logged, float(price), mean_cost)) for price in prices]
