"""Which models to ask, in which order, and when to stop: the best cascade for a budget, found exactly.

FrugalGPT (Chen et al., arXiv:2305.05176, section 3), equation: over ordered subsets L of the models and thresholds t,

    max  E[ answer of the cascade is right ]    such that    E[ cost of all models asked ] <= budget

The authors' code searches a grid over quantiles. Here every threshold that tells two observed scores apart is tried:
on the given questions no cascade is better. As a number of right answers is whole, the cheapest cascade for each of
them is all there is to know, whatever the budget.

| name here | in the paper |
| --- | --- |
| scores[i, k] | g(q_i, a_k(q_i)) |
| chain.models | L, the list of models |
| chain.thresholds | tau; an answer is taken if its score lies above, the last one always |
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Chain:
    """Models by their number, in the order of asking, and a threshold for each but the last."""

    models: tuple[int, ...]
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.models or len(self.thresholds) != len(self.models) - 1:
            raise ValueError(f"{len(self.models)} models need a threshold less, got {self.thresholds}")
        if len(set(self.models)) != len(self.models):
            raise ValueError(f"a chain asks no model twice, got {self.models}")


@dataclass(frozen=True, eq=False)
class Paths:
    """Where each question went: the model whose answer was taken, whether it is right, the cost of all asked."""

    model: Int[np.ndarray, "items"]
    correct: Bool[np.ndarray, "items"]
    cost: Float[np.ndarray, "items"]


@dataclass(frozen=True, eq=False)
class Logged:
    """What is known of some answers: the score, whether it is right, and the cost, of each model for each question.

    scoring: what it costs to score an answer of each model, paid wherever another model might be asked.

    Raises ValueError for shapes that do not fit and for values that are not finite.
    """

    scores: Float[np.ndarray, "items models"]
    correct: Bool[np.ndarray, "items models"]
    costs: Float[np.ndarray, "items models"]
    scoring: Float[np.ndarray, "models"] | None = None

    def __post_init__(self) -> None:
        shapes = {np.shape(values) for values in (self.scores, self.correct, self.costs)}
        if len(shapes) > 1 or not self.correct.size:
            raise ValueError(f"scores, correct and costs need one shape, not empty; got {sorted(shapes)}")
        if not (np.isfinite(self.scores).all() and np.isfinite(self.costs).all()):
            raise ValueError("scores and costs must be finite")

    def __len__(self) -> int:
        return len(self.correct)

    def before_another(self, model: int) -> Float[np.ndarray, "items"]:
        """What asking a model and scoring its answer costs."""
        return self.costs[:, model] + (0.0 if self.scoring is None else self.scoring[model])

    def rows(self, chosen: np.ndarray) -> "Logged":
        """Some of the questions."""
        return Logged(self.scores[chosen], self.correct[chosen], self.costs[chosen], self.scoring)

    def follow(self, chain: Chain) -> Paths:
        """What a chain would have done."""
        taken, cost = np.full(len(self), chain.models[-1]), np.zeros(len(self))
        waiting = np.ones(len(self), dtype=bool)
        for model, threshold in zip(chain.models, chain.thresholds):
            cost[waiting] += self.before_another(model)[waiting]
            ends = waiting & (self.scores[:, model] > threshold)
            taken[ends] = model
            waiting &= ~ends
        cost[waiting] += self.costs[waiting, chain.models[-1]]
        return Paths(taken, self.correct[np.arange(len(self)), taken], cost)


@dataclass(frozen=True, eq=False)
class Frontier:
    """For each number of right answers the least total cost of a chain that reaches it (infinite if none does)."""

    cost: Float[np.ndarray, "counts"]
    chains: tuple[Chain | None, ...]

    @property
    def n(self) -> int:
        """The number of questions."""
        return len(self.cost) - 1

    def within(self, budget: float) -> Chain:
        """The most accurate chain of at most this mean cost, the cheapest of those. Raises ValueError if none is."""
        affordable = np.flatnonzero(self.cost <= budget * self.n * (1 + 1e-12))
        if not len(affordable):
            raise ValueError(f"no model costs as little as {budget:g} a question; the least is {self.least:g}")
        return self._chain(int(affordable[-1]))

    def reaching(self, accuracy: float) -> Chain:
        """The cheapest chain of at least this accuracy. Raises ValueError if none has it."""
        first = int(np.ceil(accuracy * self.n - 1e-9))
        if first > self.n or not np.isfinite(self.cost[first:]).any():
            raise ValueError(f"no chain is right as often as {accuracy:.4f}; the best is {self.best:.4f}")
        return self._chain(first + int(np.argmin(self.cost[first:])))

    @property
    def least(self) -> float:
        """The mean cost of the cheapest chain."""
        return float(self.cost.min() / self.n)

    @property
    def best(self) -> float:
        """The accuracy of the most accurate chain."""
        return float(np.flatnonzero(np.isfinite(self.cost))[-1] / self.n)

    def points(self) -> tuple[Float[np.ndarray, "points"], Float[np.ndarray, "points"]]:
        """Mean cost and accuracy of the chains that no other beats in both, by rising cost."""
        least = np.minimum.accumulate(self.cost[::-1])[::-1]
        counts = np.flatnonzero(np.isfinite(self.cost) & (self.cost == least))
        # Of equal cost the most accurate counts.
        last = np.append(np.diff(self.cost[counts]) > 0, True)
        return self.cost[counts[last]] / self.n, counts[last] / self.n

    def _chain(self, count: int) -> Chain:
        chain = self.chains[count]
        assert chain is not None
        return chain


def frontier(logged: Logged, max_length: int = 3) -> Frontier:
    """The frontier of all chains of 1 to `max_length` (at most 3) of the models.

    Time grows with the number of questions for chains of two, with its square for chains of three: a second for each
    ordered three of models at 10,000 questions. Raises ValueError for another length.
    """
    if not 1 <= max_length <= 3:
        raise ValueError(f"max_length must be 1, 2 or 3, got {max_length}")
    search = _Search(logged)
    for length in range(1, min(max_length, logged.correct.shape[1]) + 1):
        for models in itertools.permutations(range(logged.correct.shape[1]), length):
            search.try_all(models)
    return Frontier(search.cost, tuple(search.chains))


class _Search:
    """The cheapest chain so far for each number of right answers."""

    def __init__(self, logged: Logged) -> None:
        self.logged = logged
        self.cost = np.full(len(logged) + 1, np.inf)
        self.chains: list[Chain | None] = [None] * (len(logged) + 1)
        self.cuts = [_cuts(logged.scores[:, model]) for model in range(logged.correct.shape[1])]

    def try_all(self, models: tuple[int, ...]) -> None:
        """Every choice of thresholds for some models in their order."""
        if len(models) == 1:
            right, cost = self.logged.correct[:, models[0]].sum(), self.logged.costs[:, models[0]].sum()
            self._offer(np.array([right]), np.array([cost]), models, ())
        elif len(models) == 2:
            self._last_two(models, (), np.ones(len(self.logged), dtype=bool), 0, 0.0)
        else:
            self._first_of_three(models)

    def _first_of_three(self, models: tuple[int, ...]) -> None:
        first = models[0]
        order, cuts = self.cuts[first]
        asked = float(self.logged.before_another(first).sum())
        right = np.concatenate([[0], np.cumsum(self.logged.correct[order, first])])
        for cut in cuts:
            waiting = np.ones(len(order), dtype=bool)
            waiting[order[:cut]] = False
            threshold = float(self.logged.scores[order[cut], first])
            self._last_two(models, (threshold,), waiting, int(right[cut]), asked)

    def _last_two(
        self,
        models: tuple[int, ...],
        before: tuple[float, ...],
        waiting: Bool[np.ndarray, "items"],
        right: int,
        cost: float,
    ) -> None:
        """All thresholds between the last two models for the questions that wait for them."""
        logged, (first, last) = self.logged, models[-2:]
        order, cuts = self.cuts[first]
        waits = waiting[order]
        gained = np.where(waits, logged.correct[order, first].astype(int) - logged.correct[order, last], 0)
        saved = np.where(waits, logged.costs[order, last], 0.0)
        counts = right + int(logged.correct[waiting, last].sum()) + np.concatenate([[0], np.cumsum(gained)])[cuts]
        costs = cost + float(logged.before_another(first)[waiting].sum())
        total = costs + float(saved.sum()) - np.concatenate([[0.0], np.cumsum(saved)])[cuts]
        self._offer(counts, total, models, before, order[cuts])

    def _offer(
        self,
        counts: Int[np.ndarray, "tries"],
        costs: Float[np.ndarray, "tries"],
        models: tuple[int, ...],
        before: tuple[float, ...],
        at: Int[np.ndarray, "tries"] | None = None,
    ) -> None:
        """Keep the tries that are cheaper than what is known; `at`: the question whose score is the last threshold."""
        for i in np.flatnonzero(costs < self.cost[counts] * (1 - 1e-12)):
            count = counts[i]
            if costs[i] < self.cost[count] * (1 - 1e-12):
                self.cost[count] = costs[i]
                last = () if at is None else (float(self.logged.scores[at[i], models[-2]]),)
                self.chains[count] = Chain(models, (*before, *last))


def _cuts(scores: Float[np.ndarray, "items"]) -> tuple[Int[np.ndarray, "items"], Int[np.ndarray, "cuts"]]:
    """The questions by falling score, and the numbers of them that a threshold can accept, all left out."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order]) < 0) + 1
    return order, np.concatenate([[0], ends])
