"""From logs to a cascade: scorers, the chain that is best on them, and what it may be expected to do.

Scores are cross-fitted: every answer is scored by a scorer that has not seen its question. On these the chain is
chosen. What it is expected to do on new questions is measured fold by fold, each by the chain that the other folds
choose: the chosen chain's own numbers are the best of many, and promise too much.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from allyouneed.agents.budget import Chain, Frontier, Logged, Paths, frontier
from allyouneed.agents.cascade import Cascade
from allyouneed.agents.scorer import Fit, NGramScorer, Scorer, cross_fitted, folds_of, ngrams
from allyouneed.agents.text_classifier import NGrams
from allyouneed.clients.client import Client
from allyouneed.data.answers import Log
from allyouneed.data.cache import atomic_write
from allyouneed.errors import UserError

L2 = (1e-4, 1e-3, 1e-2)

Choose = Callable[[Frontier], Chain]
"""Which chain of a frontier is wanted: `lambda f: f.within(budget)`."""


@dataclass(frozen=True)
class Rule:
    """A calibrated cascade without its clients: names in the order of asking, and what settles each but the last."""

    models: tuple[str, ...]
    thresholds: tuple[float, ...]
    scorers: tuple[NGramScorer, ...]

    def of(self, clients: Mapping[str, Client]) -> Cascade:
        """The cascade that asks these clients. Raises UserError if a model has none."""
        missing = [model for model in self.models if model not in clients]
        if missing:
            raise UserError(f"the cascade asks {', '.join(self.models)}; no client is given for {', '.join(missing)}")
        return Cascade({model: clients[model] for model in self.models}, self.scorers, self.thresholds)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What logs say of a cascade.

    logged: the cross-fitted scores with costs and rightness, of all models.
    chain: the chosen one; its models are numbers of `log.models`.
    expected: each question's path through the chain that the other folds choose.
    """

    rule: Rule
    logged: Logged
    frontier: Frontier
    chain: Chain
    expected: Paths


def calibrate(log: Log, choose: Choose, *, features: NGrams = NGrams(), n_folds: int = 5, seed: int = 0) -> Calibration:
    """The cascade that `choose` wants of these logs, with scorers on `features`.

    seed: of the folds. Raises UserError for too few questions, or if no chain is as is wanted, on all questions or
    without one of the folds.
    """
    try:
        folds = folds_of(len(log), n_folds, seed)
        fit = choose_ngrams(log, folds, features)
        logged = cross_fitted_log(log, fit, folds)
        whole = frontier(logged)
        chain = choose(whole)
        expected = _expected(logged, choose, folds)
    except ValueError as error:
        raise UserError(f"cannot calibrate on {len(log)} questions: {error}") from error
    scorers = [fit_model(log, model, fit) for model in chain.models[:-1]]
    names = tuple(log.models[model] for model in chain.models)
    return Calibration(Rule(names, chain.thresholds, tuple(scorers)), logged, whole, chain, expected)  # type: ignore[arg-type]


def choose_ngrams(log: Log, folds: Int[np.ndarray, "questions"], features: NGrams = NGrams()) -> Fit:
    """How to fit n-gram scorers of these answers: with the l2 whose cross-fitted scores have the least loss."""

    def loss(l2: float) -> float:
        return log_loss(cross_fitted_log(log, ngrams(features, l2), folds))

    return ngrams(features, min(L2, key=loss))


def log_loss(logged: Logged) -> float:
    """Mean of -log of the chance that the scores gave to what is so, in nats."""
    chance = np.where(logged.correct, logged.scores, 1 - logged.scores)
    return float(-np.log(np.clip(chance, 1e-12, None)).mean())


def fit_model(log: Log, model: int, fit: Fit) -> Scorer:
    """The scorer of one model's answers, fitted on all of a log."""
    return fit(log.queries, log.of_model(model), log.correct[:, model])


def cross_fitted_log(log: Log, fit: Fit, folds: Int[np.ndarray, "questions"]) -> Logged:
    """The log with the score of every answer by a scorer that has not seen its question."""
    scores = [cross_fitted(fit, log.queries, log.of_model(k), log.correct[:, k], folds) for k in range(len(log.models))]
    return Logged(np.stack(scores, axis=1), log.correct, log.costs)


def _expected(logged: Logged, choose: Choose, folds: Int[np.ndarray, "questions"]) -> Paths:
    n = len(logged)
    model, correct, cost = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), np.zeros(n)
    for fold in np.unique(folds):
        inside = folds == fold
        paths = logged.rows(inside).follow(choose(frontier(logged.rows(~inside))))
        model[inside], correct[inside], cost[inside] = paths.model, paths.correct, paths.cost
    return Paths(model, correct, cost)


def write_rule(path: Path, rule: Rule, about: Mapping[str, Any]) -> None:
    """Write a rule as JSON, whole or not at all; `about` is kept beside it for people."""
    values = {
        "cascade": 1,
        "about": dict(about),
        "models": list(rule.models),
        "thresholds": list(rule.thresholds),
        "scorers": [scorer.to_dict() for scorer in rule.scorers],
    }
    atomic_write(path, json.dumps(values).encode())


def read_rule(path: Path) -> Rule:
    """The rule in a file. Raises UserError, which names it, if there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("cascade") != 1:
            raise UserError(f"{path} is no cascade that this version reads; calibrate it anew")
        models, thresholds = tuple(map(str, values["models"])), tuple(map(float, values["thresholds"]))
        scorers = tuple(NGramScorer.from_dict(scorer) for scorer in values["scorers"])
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no cascade: {type(error).__name__}: {error}") from error
    if not models or not len(models) - 1 == len(thresholds) == len(scorers):
        raise UserError(f"{path} is no cascade: {len(models)} models need a threshold and a scorer less")
    return Rule(models, thresholds, scorers)
