"""Trends: the trials at a scale's smaller sizes, and how the effects that were judged move with the size."""

from dataclasses import replace
from typing import TYPE_CHECKING

from allyouneed.lab.judging import trend
from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.scales import size_axis, size_name
from allyouneed.lab.study import Study, Trial
from allyouneed.lab.trials.result import TrialResult

if TYPE_CHECKING:
    from allyouneed.lab.engine import Engine

Results = dict[str, list[TrialResult]]


def tell_trends(
    engine: "Engine", judgements: list[Judgement], extended: dict[str, int | None]
) -> tuple[list[Judgement], Results]:
    """The judgements, with a trend where the claim asks for one, and the results at each smaller size by its name.

    What was tuned and what failed at the smaller sizes is added to the engine's, with the size beside it.
    """
    axis = size_axis(engine.scale)
    asked = _asked(engine, judgements, axis)
    if not asked:
        return judgements, {}
    trials = _trials(engine.study, asked)
    found: dict[str, list[tuple[str, Judgement]]] = {j.id: [] for j in asked}
    results: Results = {}
    for small in engine.smaller([engine.study.claims[j.id] for j in asked]):
        name, before = size_name(small.scale, axis), engine.executor.failures
        engine.executor.failures = []
        results[small.size] = small.run_all(trials)
        for at_size in small.verdicts(trials, results[small.size], extended).judgements:
            found[at_size.id].append((name, at_size))
        failures = [
            replace(f, size=small.size, reason=f"at {small.size}: {f.reason}") for f in engine.executor.failures
        ]
        engine.executor.failures = before + failures
        engine.tuned += [
            replace(t, size=small.size, warnings=tuple(f"at {small.size}: {w}" for w in t.warnings))
            for t in small.tuned
        ]
    return [_with_trend(j, axis, found.get(j.id), size_name(engine.scale, axis)) for j in judgements], results


def _asked(engine: "Engine", judgements: list[Judgement], axis: list[str]) -> list[Judgement]:
    """The claims to run at the smaller sizes: none without evidence at the scale itself, or without seeds."""
    asked = [j for j in judgements if j.evidence and engine.study.claims[j.id].trend]
    if not (engine.options.trend and axis and asked):
        return []
    changed = [name for name in axis if name in engine.options.overrides]
    if changed:
        engine.executor.display.say(f"no trend: --set {changed[0]} changes what the sizes of the scale differ by")
        return []
    paired = [j for j in asked if j.evidence and j.evidence.unit in trend.UNITS]
    for j in asked:
        if j not in paired:
            engine.executor.display.say(f"no trend of {j.id}: a trend pairs seeds, and its unit is another")
    return paired


def _with_trend(
    judgement: Judgement, axis: list[str], smaller: list[tuple[str, Judgement]] | None, size: str
) -> Judgement:
    if smaller is None or judgement.evidence is None:
        return judgement
    at_sizes = [(name, found.evidence or found.reason) for name, found in smaller]
    return replace(judgement, trend=trend.tell("/".join(axis), at_sizes, size, judgement.evidence))


def _trials(study: Study, judgements: list[Judgement]) -> list[Trial]:
    """The trials of these claims, each with the arms that the claims' evidence used.

    Of a grid all arms: which of them a claim uses may hang on their numbers, and be others at another size.
    """
    arms: dict[str, set[str]] = {}
    for judgement in judgements:
        for name in study.claims[judgement.id].trials:
            assert judgement.evidence is not None
            arms.setdefault(name, set()).update(arm for arm, _ in judgement.evidence.uses)
    return [
        replace(trial, arms={arm: value for arm, value in trial.arms.items() if trial.grid or arm in arms[name]})
        for name, trial in study.trials.items()
        if name in arms and not trial.exclusive
    ]
