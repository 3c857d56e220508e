"""What a cascade is measured against: an oracle above it, and a coin between two models below."""

import numpy as np
from jaxtyping import Float

from allyouneed.agents.budget import Logged, Paths


def oracle(logged: Logged) -> Paths:
    """Each question to the cheapest model that is right on it, to the cheapest of all where none is.

    No choice among the models can be more accurate, or as accurate and cheaper; it needs to know the answers.
    """
    cost = np.where(logged.correct | ~logged.correct.any(axis=1, keepdims=True), logged.costs, np.inf)
    model = cost.argmin(axis=1)
    rows = np.arange(len(logged))
    return Paths(model, logged.correct[rows, model], logged.costs[rows, model])


def chord(
    accuracy: Float[np.ndarray, "models"], cost: Float[np.ndarray, "models"], at: float
) -> Float[np.ndarray, "models"]:
    """The shares with which to draw a model for each question so that the mean cost is `at`, as accurately as possible.

    A question's accuracy and cost then lie on the upper hull of the models' own: what costs no thought at all. Above
    the best model's cost it is the best model. Raises ValueError for less than the cheapest costs.
    """
    best = int(np.lexsort((cost, -accuracy))[0])
    shares = np.zeros(len(cost))
    if at >= cost[best]:
        shares[best] = 1.0
        return shares
    if at < cost.min():
        raise ValueError(f"no mixture costs as little as {at:g}; the cheapest model costs {cost.min():g}")
    found = (-np.inf, 0, 0, 0.0)
    for low in np.flatnonzero(cost <= at).tolist():
        for high in np.flatnonzero(cost >= at).tolist():
            share = 0.0 if cost[high] == cost[low] else float((at - cost[low]) / (cost[high] - cost[low]))
            found = max(found, (float(accuracy[low] + share * (accuracy[high] - accuracy[low])), low, high, share))
    _, cheap, dear, part = found
    shares[cheap] += 1 - part
    shares[dear] += part
    return shares
