"""Choosing each arm's tuned values: the same grid for all, on seeds that no claim uses."""

import math
from dataclasses import replace
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.outcome import Tuned
from allyouneed.lab.study import Tune
from allyouneed.lab.trials.result import TrialResult


def widen(tune: Tune | None, grid: dict[str, str]) -> Tune:
    """The grid with what the user gave by `--grid name=a,b,c` in place of the study's own values.

    Raises UserError for values that are not of its type. Names that this trial does not tune are another's.
    """
    assert tune is not None
    values = dict(tune.values)
    for name, text in grid.items():
        if name not in values:
            continue
        kind = type(values[name][0])
        try:
            values[name] = [kind(part) for part in text.split(",")]
        except ValueError:
            raise UserError(f"--grid {name}={text}: expected values like {values[name][0]!r}") from None
    return replace(tune, values=values)


def choose(tune: Tune, trial: str, arm: str, measured: list[tuple[dict[str, Any], list[TrialResult]]]) -> Tuned | None:
    """The values with the least mean of `tune.on`, with a warning where the best lies on the grid's edge.

    None if every try failed. A diverged try (not a number) never wins.
    """
    tried = []
    for values, results in measured:
        losses = [_loss(result, tune.on) for result in results]
        # A seed that failed counts as the worst there is: what diverges now and then is no good choice.
        mean = sum(losses) / len(losses) if len(losses) == tune.seeds else math.inf
        tried.append((values, mean if math.isfinite(mean) else math.inf))
    best, loss = min(tried, key=lambda pair: pair[1])
    if math.isinf(loss):
        return None
    diverged = tuple(f"{arm} could not be trained with {_words(values)}" for values, mean in tried if math.isinf(mean))
    warnings = diverged + tuple(
        f"the best {name} of {arm} lies on the edge of its grid ({best[name]}): widen it with --grid"
        for name, options in tune.values.items()
        if len(options) > 1 and _on_edge(best[name], options) and any(mean != loss for _, mean in tried)
    )
    return Tuned(trial, arm, best, "searched", warnings, tuple(tried))


def _on_edge(value: Any, options: list[Any]) -> bool:
    numbers = [option for option in options if isinstance(option, int | float)]
    return len(numbers) == len(options) and value in (min(numbers), max(numbers))


def _loss(result: TrialResult, on: str) -> float:
    if on not in result.measurements:
        measured = ", ".join(result.measurements)
        raise UserError(f"{result.trial} is tuned on {on!r}, which it does not measure; it measures {measured}")
    return float(result.measurements[on])  # type: ignore[arg-type]


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
