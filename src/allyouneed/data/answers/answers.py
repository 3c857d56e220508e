"""What several models answered to the same questions, with costs and whether it was right: logs, in splits."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from allyouneed.data.documents import percent_of
from allyouneed.errors import UserError


@dataclass(frozen=True, eq=False)
class Log:
    """Questions and the answers of all models to each.

    texts[i][k], costs, correct and scores are those of model k for question i; `scores` is None unless every answer
    has one. `groups` labels each question, "" where nothing does. `gold` are the right answers where they are known:
    a log without models is a list of questions that nobody has been asked yet.
    """

    models: tuple[str, ...]
    queries: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    costs: Float[np.ndarray, "questions models"]
    correct: Bool[np.ndarray, "questions models"]
    scores: Float[np.ndarray, "questions models"] | None = None
    groups: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.queries)

    def of_model(self, model: int) -> tuple[str, ...]:
        """All answers of one model."""
        return tuple(texts[model] for texts in self.texts)

    def rows(self, chosen: Sequence[int] | np.ndarray) -> "Log":
        """Some of the questions, in this order."""
        places = [int(i) for i in chosen]

        def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[i] for i in places) if values else ()

        scores = None if self.scores is None else self.scores[places]
        return Log(
            self.models,
            some(self.queries),
            some(self.texts),
            self.costs[places],
            self.correct[places],
            scores,
            some(self.groups),
            some(self.gold),
        )

    def lines(self) -> Iterator[str]:
        """The log as lines of JSON."""
        for i, query in enumerate(self.queries):
            answers = {
                model: {"text": self.texts[i][k], "cost": self.costs[i, k], "correct": bool(self.correct[i, k])}
                | ({} if self.scores is None else {"score": self.scores[i, k]})
                for k, model in enumerate(self.models)
            }
            group = {"group": self.groups[i]} if self.groups else {}
            gold = {"gold": self.gold[i]} if self.gold else {}
            yield json.dumps({"query": query, "answers": answers} | group | gold)


@dataclass(frozen=True, eq=False)
class Answers:
    """A log in three splits: train (to fit scorers and thresholds on), tune and test, which share no question."""

    unit: ClassVar[str] = "questions"  # what the length of a split counts
    least: ClassVar[int] = 10  # of them in a split

    name: str
    train: Log
    tune: Log
    test: Log

    @cached_property
    def version(self) -> str:
        """The sha256 (hex) of the content."""
        digest = hashlib.sha256()
        for split in (self.train, self.tune, self.test):
            for line in split.lines():
                digest.update(line.encode())
            digest.update(b"\n")
        return digest.hexdigest()


def in_splits(name: str, log: Log) -> Answers:
    """Half of the questions to train, a tenth to tune and four tenths to test, by the hash of the question.

    Thresholds need few questions, a verdict on them many. Raises UserError if a split stays empty.
    """
    percent = np.array([percent_of(query) for query in log.queries])
    splits = [np.flatnonzero((low <= percent) & (percent < high)) for low, high in ((0, 50), (50, 60), (60, 100))]
    if not all(len(split) for split in splits):
        raise UserError(f"{name} has too few questions ({len(log)}): a split of them stays empty")
    return Answers(name, *(log.rows(split) for split in splits))


def log_of(models: Sequence[str], rows: Iterable[dict[str, Any]]) -> Log:
    """A log of values made here, in the form of the lines of a file: {"query", "answers", ...}."""
    return log_of_lines([(row, "a row") for row in rows]) if models else _unasked(list(rows))


def log_of_lines(read: list[tuple[dict[str, Any], str]]) -> Log:
    """A log of rows, each with its place in a file. Raises UserError for one that has not the models of the first."""
    models = tuple(read[0][0]["answers"])
    for values, place in read:
        if set(values["answers"]) != set(models):
            raise UserError(
                f"{place}: answers of {', '.join(values['answers'])}; the first line has those of {', '.join(models)}"
            )

    def table(name: str) -> np.ndarray:
        return np.array([[values["answers"][model].get(name, np.nan) for model in models] for values, _ in read])

    scores = table("score").astype(float)
    return Log(
        models,
        tuple(values["query"] for values, _ in read),
        tuple(tuple(values["answers"][model].get("text", "") for model in models) for values, _ in read),
        table("cost").astype(float),
        table("correct").astype(bool),
        None if np.isnan(scores).any() else scores,
        _all_or_none(read, "group"),
        _all_or_none(read, "gold"),
    )


def _all_or_none(read: list[tuple[dict[str, Any], str]], name: str) -> tuple[str, ...]:
    found = tuple(str(values[name]) for values, _ in read if name in values)
    return found if len(found) == len(read) else ()


def _unasked(rows: list[dict[str, Any]]) -> Log:
    none = np.empty((len(rows), 0))
    queries, gold = (tuple(row[name] for row in rows) for name in ("query", "gold"))
    return Log((), queries, ((),) * len(rows), none, none.astype(bool), gold=gold)
