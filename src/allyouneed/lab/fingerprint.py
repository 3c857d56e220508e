"""A study's behaviour in a few numbers: what tells a refactoring from a change.

Every trial that the claims of the smoke scale read, on the record's data, seed 0, on one CPU thread: the losses it logs
and what it measures. A record whose sources changed stays valid while these stay equal to 1e-6 relative.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from allyouneed.lab.engine import Engine
from allyouneed.lab.options import Options
from allyouneed.lab.trials.executor import Display

TOLERANCE = 1e-6
SHORT = 20  # numbers: a longer list is kept as a few of its moments


def fingerprint(reference: str, data: str | None = None) -> dict[str, dict[str, Any]]:
    """The behaviour of each trial and arm on the data, as `{"trial/arm": {"measurements": ..., "log": ...}}`.

    Timings are left out. Raises UserError if the study has no smoke scale or the data are not here, RuntimeError if a
    trial fails.
    """
    with tempfile.TemporaryDirectory() as out:
        engine = Engine(Options(reference, scale="smoke", seeds=1, data=data, device="cpu", out=Path(out)), Display())
        read = {name for claim in engine.claims if claim.not_run is None for name in claim.trials}
        jobs = [
            engine.plan.job(trial, arm, 0, trial.tune.middle() if trial.tune else {})
            for trial in engine.study.trials.values()
            if trial.name in read and not trial.exclusive
            for arm in trial.arms
        ]
        results = engine.executor.run(jobs, "fingerprint trials")
        if engine.executor.failures:
            failure = engine.executor.failures[0]
            raise RuntimeError(f"{reference}: {failure.trial}, {failure.arm} failed at smoke scale: {failure.reason}")
    return {f"{r.trial}/{r.arm}": brief({"measurements": r.measurements, "log": r.log}) for r in results}


def brief(values: Any) -> Any:
    """The same with every long list of numbers as its length, mean, deviation, and mean product with the position."""
    if isinstance(values, dict):
        return {name: brief(value) for name, value in values.items()}
    if not isinstance(values, list):
        return values
    if len(values) <= SHORT or not all(isinstance(value, int | float) for value in values):
        return [brief(value) for value in values]
    x, place = np.array(values, dtype=float), np.linspace(0, 1, len(values))
    return {"n": len(values), "mean": float(x.mean()), "deviation": float(x.std()), "ramp": float((x * place).mean())}


def compare(recorded: dict[str, Any], now: dict[str, Any]) -> str:
    """ "same", or "moved: ..." with the first number that differs by more than the tolerance."""
    recorded, now = brief(recorded), brief(now)
    if recorded.keys() != now.keys():
        names = ", ".join(sorted(recorded.keys() ^ now.keys()))
        return f"moved: not in both: {names}"
    for name in recorded:
        difference = _first_difference(recorded[name], now[name], name)
        if difference:
            return f"moved: {difference}"
    return "same"


def _first_difference(old: Any, new: Any, path: str) -> str | None:
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        pairs = [(old[key], new[key], f"{path}/{key}") for key in old]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(old, new))]
    elif isinstance(old, int | float) and isinstance(new, int | float):
        # Errors of rounding (1e-16) have no meaning to keep: absolutely, 1e-12 counts as equal.
        equal = math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=1e-12) or (math.isnan(old) and math.isnan(new))
        return None if equal else f"{path}: {old:.9g} recorded, {new:.9g} now"
    else:
        return None if old == new else f"{path}: {old!r:.60} recorded, {new!r:.60} now"
    return next((found for pair in pairs if (found := _first_difference(*pair))), None)
