"""What a claim came to, in numbers and in a word; light, so that records are read without scipy."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from allyouneed.lab.trials.result import from_json, to_json

UNITS = ("seeds", "items", "items x seeds", "rounds", "exact")


class ClaimError(ValueError):
    """A claim asks for something that its measurements cannot say."""


class TrialFailed(ClaimError):
    """A claim needs a trial that failed."""


@dataclass(frozen=True)
class Evidence:
    """An effect, its interval, and whether that lies on the claimed side of the bar.

    `estimate` is the mean over the units (for "exact": the worst draw, and there is no interval).
    `n` counts units (seeds, where items are crossed with them), `values` holds one number a unit,
    `seeds` says which seeds took part, `uses` which (arm, measurement) the claim read. `bar` says in words
    between which ends, `claimed`, the effect is claimed to lie.
    `smallest_effect` is the distance beyond the bar that this n shows with 80 % power, or for a
    two-sided bar the narrowest margin. With `is_log` all of these are ratios, judged by their logarithms.
    """

    estimate: float
    low: float | None
    high: float | None
    n: int
    unit: str
    level: float
    bar: str
    word: str
    smallest_effect: float | None
    values: tuple[float, ...]
    notes: tuple[str, ...] = ()
    label: str = ""
    seeds: tuple[int, ...] = ()
    uses: tuple[tuple[str, str], ...] = ()
    claimed: tuple[float, float] = (-math.inf, math.inf)
    is_log: bool = False

    def __str__(self) -> str:
        """For a table: `0.031 [0.012, 0.05]`, or `3e-08 (exact)`."""
        if self.low is None or self.high is None:
            return f"{self.estimate:.3g} (exact)"
        return f"{self.estimate:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {f.name: to_json(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Evidence":
        """The evidence that `to_dict` described."""
        plain = {name: from_json(value) for name, value in values.items()}
        tuples = {name: tuple(plain[name]) for name in ("values", "notes", "seeds", "claimed")}
        return cls(**plain | tuples | {"uses": tuple((arm, name) for arm, name in plain["uses"])})


@dataclass(frozen=True)
class GateResult:
    """Which arms have a run that missed the bar; `values` holds every run of every arm, by seed.

    `worst` is the run closest to missing the bar, or furthest beyond it: (value, arm); None without runs.
    `runs` says which arms of `trial`, by the names they were run under, each failed one stands for; it is empty
    where that is not known.
    """

    bar: str
    failed_arms: list[str]
    values: dict[str, list[float]]
    worst: tuple[float, str] | None = None
    trial: str = ""
    runs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every run of every arm met the bar."""
        return not self.failed_arms

    def failed_among(self, reads: Collection[tuple[str, str]]) -> list[str]:
        """The failed arms that stand for one of these (trial, arm), or for who knows which."""
        return [
            arm
            for arm in self.failed_arms
            if arm not in self.runs or any((self.trial, run) in reads for run in self.runs[arm])
        ]
