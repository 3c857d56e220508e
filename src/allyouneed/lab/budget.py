"""`--budget 8h`: as many seeds as fit, worked out before the first trial.

What a seed costs is taken from the record of the same study, scale and data; without one from the
minutes that the scale states. All trials and all tuning are counted, with what is kept of earlier runs, so that
the same command asks for the same seeds after Ctrl-C. Timings are not: they take minutes, however many seeds.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from allyouneed.errors import UserError
from allyouneed.lab.reports import records
from allyouneed.lab.reports.records import Record
from allyouneed.lab.reports.summary import duration
from allyouneed.lab.study import Trial, seeds_of
from allyouneed.lab.trials.machine import machine
from allyouneed.lab.trials.tuning import widen

if TYPE_CHECKING:
    from allyouneed.lab.engine import Engine

LEAST_SEEDS = 2
WORKERS_MEANT = {"cpu": 2, "cuda": 1}  # on the hardware that a scale's minutes are stated for


@dataclass(frozen=True)
class Cost:
    """What a run takes, in minutes of one worker: each seed, and the tuning. `source` says how that is known."""

    seed: float
    tuning: float
    source: str


def seeds_that_fit(engine: "Engine", trials: list[Trial], most: int) -> tuple[int, str]:
    """How many seeds of these trials the run's budget allows, at most `most`, and the sentence that says so.

    Raises UserError for a budget that is no time, or too short.
    """
    assert engine.options.budget is not None
    plain = [trial for trial in trials if not trial.exclusive]
    if not plain:
        raise UserError("--budget: no claim here reads a trial that is run with several seeds")
    seconds, source = _measured(engine, plain) or _stated(engine, plain)
    searches = engine.given([trial for trial in plain if trial.tune])[1]
    shares = {trial.name: share_of_a_try(engine, trial) for trial in plain}
    cost = cost_of(plain, searches, engine.options.grid, seconds, source, shares)
    n_workers = engine.executor.n_workers
    if engine.device == "cpu":  # Seconds are processor time: more workers than cores share it.
        n_workers = min(n_workers, machine()["cores"])
    return fit(engine.options.budget, cost, n_workers, most)


def fit(text: str, cost: Cost, n_workers: int, most: int) -> tuple[int, str]:
    """How many seeds a budget allows, at most `most`, and the sentence that says so.

    Raises UserError, with what it would take, if those are fewer than any interval needs.
    """
    free = minutes(text) * n_workers - cost.tuning
    n = most if free >= most * cost.seed else int(free / cost.seed)
    tuning = f", tuning about {duration(cost.tuning)}" if cost.tuning else ""
    workers = f"{n_workers} worker{'s' if n_workers > 1 else ''}"
    why = f"a seed takes about {duration(cost.seed)} of one worker{tuning}; {workers}; {cost.source}"
    if n < LEAST_SEEDS:
        needed = duration((cost.tuning + LEAST_SEEDS * cost.seed) / n_workers)
        raise UserError(f"--budget {text}: {LEAST_SEEDS} seeds, the fewest that say anything, take {needed} ({why})")
    return n, f"budget {text}: {n} seeds ({why})"


def minutes(text: str) -> float:
    """`8h`, `30m`, `2h30m` or `90s` in minutes. Raises UserError for anything else, and for nothing."""
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s)?", text.strip())
    hours, mins, secs = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = 60 * hours + mins + secs / 60
    if total <= 0:
        raise UserError(f"--budget {text}: give a time like 8h, 30m, 2h30m or 90s")
    return total


def cost_of(
    trials: Iterable[Trial],
    searches: Iterable[tuple[Trial, str]],
    grid: dict[str, str],
    seconds: Mapping[tuple[str, str], float],
    source: str,
    shares: Mapping[str, float],
) -> Cost:
    """The cost of these trials, and of tuning the arms that `searches` lists, from the seconds of each trial and arm
    and the share of them that a try of the trial takes.

    An arm whose seconds are not known, such as a user's own, counts as the mean of the others.
    """
    others = sum(seconds.values()) / len(seconds)
    seed = sum(seconds.get((trial.name, arm), others) for trial in trials for arm in trial.arms)
    tuning = 0.0
    for trial, arm in searches:
        tune = widen(trial.tune, grid)
        tuning += len(tune.candidates()) * tune.seeds * shares[trial.name] * seconds.get((trial.name, arm), others)
    return Cost(seed / 60, tuning / 60, source)


def share_of_a_try(engine: "Engine", trial: Trial) -> float:
    """Of a trial's time, what a try to tune it takes: as its `Tune.at` is to the scale, in steps or in minutes."""
    share = 1.0
    for name, value in (trial.tune.at if trial.tune else {}).items():
        of = getattr(engine.scale, name)
        if name not in engine.options.overrides and isinstance(value, int | float) and of:
            share *= value / of
    return share


def recorded_seconds(record: Record, with_smaller: bool) -> dict[tuple[str, str], float]:
    """The mean seconds of each trial and arm with one seed, at all sizes of the scale if asked for."""
    at_sizes = [record.values["results"], *(record.values.get("smaller", {}).values() if with_smaller else ())]
    means: dict[tuple[str, str], float] = {}
    for results in at_sizes:
        by_arm: dict[tuple[str, str], list[float]] = {}
        for result in results:
            by_arm.setdefault((result["trial"], result["arm"]), []).append(result["seconds"])
        for name, seconds in by_arm.items():
            means[name] = means.get(name, 0.0) + sum(seconds) / len(seconds)
    return means


def _measured(engine: "Engine", trials: list[Trial]) -> tuple[dict[tuple[str, str], float], str] | None:
    """What the record says of these trials; None without one, or where --set makes other trials of them."""
    record = records.find(engine.study.paper, engine.options.scale, engine.other_data)
    if record is None or engine.options.overrides:
        return None
    names = {trial.name for trial in trials}
    known = recorded_seconds(record, engine.options.trend)
    seconds = {name: value for name, value in known.items() if name[0] in names}
    if not sum(seconds.values()):  # Trials of a few milliseconds are recorded as none.
        return None
    theirs, here = (m["gpu"] or m["cpu"] for m in (record.values["machine"], machine()))
    return seconds, f"measured by the record on {'this processor' if theirs == here else theirs}"


def _stated(engine: "Engine", trials: list[Trial]) -> tuple[dict[tuple[str, str], float], str]:
    """What the scale states, shared out evenly among the trials that its claims read; or, without any, these."""
    study = engine.study
    asked = getattr(engine.scale, "claims", ()) or study.claims
    read = {name for claim in study.claims.values() if claim.id in asked for name in claim.trials}
    own = [trial for trial in study.trials.values() if trial.name in read and not trial.exclusive]
    names = [(trial.name, arm) for trial in own or trials for arm in trial.arms]
    runs = len(names) * seeds_of(engine.options.scale, engine.scale)
    each = 60 * engine.scale.minutes * WORKERS_MEANT[engine.device] / runs
    return dict.fromkeys(names, each), f"by the {duration(engine.scale.minutes)} that the scale states"
