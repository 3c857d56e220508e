"""What several models answered to the same questions, with costs and whether it was right: logs on file, in splits.

A line of JSON for each question:

    {"query": "...", "answers": {"small": {"text": "...", "cost": 0.001, "correct": true}, "large": {...}}}

`score` beside them may hold a model's own confidence in its answer, `group` beside `query` a label ("anatomy").
"""

import codecs
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from allyouneed.data.cache import atomic_file
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


def answers_file(path: Path) -> Answers:
    """The log of a file in splits; see `in_splits`. Raises UserError as `read_log` does, or if a split stays empty."""
    return in_splits(path.name, read_log(path))


def in_splits(name: str, log: Log) -> Answers:
    """Half of the questions to train, a tenth to tune and four tenths to test, by the hash of the question.

    Thresholds need few questions, a verdict on them many. Raises UserError if a split stays empty.
    """
    percent = np.array([int.from_bytes(hashlib.sha256(q.encode()).digest()[:8], "big") % 100 for q in log.queries])
    splits = [np.flatnonzero((low <= percent) & (percent < high)) for low, high in ((0, 50), (50, 60), (60, 100))]
    if not all(len(split) for split in splits):
        raise UserError(f"{name} has too few questions ({len(log)}): a split of them stays empty")
    return Answers(name, *(log.rows(split) for split in splits))


def write_log(path: Path, log: Log) -> None:
    """Write a log as lines of JSON, whole or not at all."""
    with atomic_file(path) as file:
        for line in log.lines():
            file.write(line.encode() + b"\n")


def read_log(path: Path) -> Log:
    """The log in a file of lines of JSON; empty lines do not count.

    Raises UserError for a file that cannot be read and, with file and line, for a line that is no log of the same
    models as the first.
    """
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    read = [_line(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not read:
        raise UserError(f"{path} has no line")
    return _log(read)


_Line = tuple[dict[str, Any], str]


def _log(read: list[_Line]) -> Log:
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


def _all_or_none(read: list[_Line], name: str) -> tuple[str, ...]:
    found = tuple(str(values[name]) for values, _ in read if name in values)
    return found if len(found) == len(read) else ()


def _line(line: bytes, place: str) -> _Line:
    try:
        values = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: not JSON: {error}") from error
    form = '{"query": "...", "answers": {"MODEL": {"text": "...", "cost": 0.001, "correct": true}, ...}}'
    if not isinstance(values, dict) or not isinstance(values.get("query"), str) or not values["query"].strip():
        raise UserError(f"{place}: expected a line {form}")
    answers = values.get("answers")
    if not isinstance(answers, dict) or not answers:
        raise UserError(f"{place}: it has no answers; expected {form}")
    for model, answer in answers.items():
        if fault := _fault(answer):
            raise UserError(f"{place}: the answer of {model!r} {fault}; expected {form}")
    return values, place


def _fault(answer: Any) -> str | None:
    """What is wrong with one answer; None if nothing is."""
    if not isinstance(answer, dict):
        return "is no object"
    if not isinstance(answer.get("text", ""), str):
        return "has a text that is none"
    if not _is_number(answer.get("cost")) or answer["cost"] < 0:
        return "has no cost, a number of at least 0"
    if answer.get("correct") not in (True, False):
        return 'has no "correct", true or false'
    if "score" in answer and not _is_number(answer["score"]):
        return "has a score that is no number"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def log_of(models: Sequence[str], rows: Iterable[dict[str, Any]]) -> Log:
    """A log of values made here, in the form of the lines of a file: {"query", "answers", ...}."""
    return _log([(row, "a row") for row in rows]) if models else _unasked(list(rows))


def _unasked(rows: list[dict[str, Any]]) -> Log:
    none = np.empty((len(rows), 0))
    queries, gold = (tuple(row[name] for row in rows) for name in ("query", "gold"))
    return Log((), queries, ((),) * len(rows), none, none.astype(bool), gold=gold)
