"""Logs of answers on file: a line of JSON for each question.

    {"query": "...", "answers": {"small": {"text": "...", "cost": 0.001, "correct": true}, "large": {...}}}

`score` beside them may hold a model's own confidence in its answer, `group` beside `query` a label ("anatomy").
"""

import math
from pathlib import Path
from typing import Any

from allyouneed.data.answers.answers import Answers, Log, in_splits, log_of_lines
from allyouneed.data.cache import atomic_file
from allyouneed.data.json_lines import json_lines
from allyouneed.errors import UserError


def answers_file(path: Path) -> Answers:
    """The log of a file in splits; see `in_splits`. Raises UserError as `read_log` does, or if a split stays empty."""
    return in_splits(path.name, read_log(path))


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
    read = [(_checked(values, place), place) for values, place in json_lines(path)]
    if not read:
        raise UserError(f"{path} has no line")
    return log_of_lines(read)


def _checked(values: dict[str, Any], place: str) -> dict[str, Any]:
    form = '{"query": "...", "answers": {"MODEL": {"text": "...", "cost": 0.001, "correct": true}, ...}}'
    if not isinstance(values.get("query"), str) or not values["query"].strip():
        raise UserError(f"{place}: expected a line {form}")
    answers = values.get("answers")
    if not isinstance(answers, dict) or not answers:
        raise UserError(f"{place}: it has no answers; expected {form}")
    for model, answer in answers.items():
        if fault := _fault(answer):
            raise UserError(f"{place}: the answer of {model!r} {fault}; expected {form}")
    return values


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
