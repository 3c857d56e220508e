"""The trend of an effect over model sizes: what says whether a verdict is likely to carry further.

The effect of one seed at each size is a line of its own; its least-squares slope over the sizes, counted
1, 2, 3, is one number a seed, and the trend is the mean of these slopes with Student's interval. A step
between neighbouring sizes counts as one, however many parameters lie between them.

Light, as judgements are: records are read without numpy or scipy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from allyouneed.lab.judging.evidence import Evidence
from allyouneed.lab.trials.result import from_json, to_json

UNITS = ("seeds", "items x seeds")  # what has seeds to pair over


@dataclass(frozen=True)
class AtSize:
    """The effect at one size, as the evidence there has it; or, in `reason`, why there is none.

    `word` is what the claim would be judged at this size.
    """

    size: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    word: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Trend:
    """How an effect moves with the model's size; `axis` names the values that make it ("d_model").

    `sizes` are smallest first, the scale itself last. `word` is "grows" (away from the bar), "stays", "shrinks"
    (towards it), "vanishes" (towards it, and at the largest size the interval covers it), or "" with a `reason`.
    `slope`, its interval and `smallest_slope` (what n seeds show with 80 % power) are per step from one size to
    the next, and factors where the effect is a ratio. `against`: what moves is an effect against the claim.
    `n` are the seeds that all sizes have, `n_largest` those of the scale itself.
    """

    axis: str
    sizes: tuple[AtSize, ...]
    word: str = ""
    reason: str = ""
    against: bool = False
    n: int = 0
    level: float = 0.95
    slope: float | None = None
    low: float | None = None
    high: float | None = None
    smallest_slope: float | None = None
    is_log: bool = False
    n_largest: int = 0

    @property
    def short(self) -> str:
        """For a table: `grows from d_model 32`; empty where no trend could be told."""
        return f"{self._said} from {self.axis} {self._measured[0].size}" if self.word else ""

    def __str__(self) -> str:
        """One line: `d_model 32 -> 64: 0.09 -> 0.13, grows`, with what was left out and why."""
        sizes = " -> ".join(at.size for at in self._measured)
        effects = " -> ".join(f"{at.estimate:.{4 if self.is_log else 3}g}" for at in self._measured)
        said = self._said or f"no trend: {self.reason}"
        if self.word == "stays":
            change = "a change by a factor of" if self.is_log else "a change of"
            digits = 4 if self.is_log else 2
            said += (
                f" ({change} {self.smallest_slope:.{digits}g} a step is the smallest that n={self.n} could have shown)"
            )
        left_out = "".join(f"; {at.size}: {at.reason}" for at in self.sizes if at.reason)
        if 0 < self.n < self.n_largest:
            left_out += f"; {self.n} of {self.n_largest} seeds"
        return f"{self.axis} {sizes}: {effects}, {said}{left_out}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {f.name: to_json(getattr(self, f.name)) for f in fields(self)}
        return plain | {"sizes": [to_json(vars(at)) for at in self.sizes]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trend":
        """The trend that `to_dict` described."""
        plain = from_json(values)
        return cls(**plain | {"sizes": tuple(AtSize(**at) for at in plain["sizes"])})

    @property
    def _said(self) -> str:
        return f"{self.word} (against the claim)" if self.against else self.word

    @property
    def _measured(self) -> list[AtSize]:
        return [at for at in self.sizes if not at.reason]


def tell(axis: str, smaller: Sequence[tuple[str, Evidence | str]], size: str, evidence: Evidence) -> Trend:
    """The trend from the smaller sizes, smallest first, to the scale itself: each with its evidence or, where an
    arm did not learn there, with why there is none.

    The side that counts is that of the largest size's word; where that is inconclusive, of the first smaller
    size with another word, else the claimed one. Of two bars it is the one nearer to the largest size's effect.
    """
    sizes = [(name, at) for name, at in (*smaller, (size, evidence))]
    at_sizes = tuple(_at(*named) for named in sizes)
    trend = Trend(axis, at_sizes, is_log=evidence.is_log, level=evidence.level, n_largest=len(evidence.seeds))
    found = {place: at for place, (_, at) in enumerate(sizes) if isinstance(at, Evidence)}
    try:
        if len(found) < 2:
            raise ValueError("no smaller size was measured")
        slopes = _slopes(found)
    except ValueError as error:
        return replace(trend, reason=str(error))
    return _judged(trend, slopes, list(found.values()))


def _judged(trend: Trend, slopes: Any, found: list[Evidence]) -> Trend:
    """The word of slopes that were found."""
    from allyouneed.lab.judging.statistics import detectable, t_interval

    *smaller, largest = found
    decided = [e.word for e in (largest, *smaller) if e.word != "inconclusive"]
    against = bool(decided) and decided[0] == "contradicted"
    away = -_inwards(largest) if against else _inwards(largest)
    interval = t_interval(slopes, trend.level)
    low, high = sorted((away * interval.low, away * interval.high))
    if low > 0:
        word = "grows"
    elif high < 0:
        word = "vanishes" if decided and largest.word == "inconclusive" else "shrinks"
    else:
        word = "stays"
    shown = math.exp if trend.is_log else float
    return replace(
        trend,
        word=word,
        against=against,
        n=interval.n,
        slope=shown(interval.estimate),
        low=shown(interval.low),
        high=shown(interval.high),
        smallest_slope=shown(detectable(interval.se, interval.df, trend.level)),
    )


def _slopes(found: Mapping[int, Evidence]) -> Any:
    """One least-squares slope a seed, over the places of the sizes. Raises ValueError without two seeds, or spread."""
    import numpy as np

    by_seed = [dict(zip(e.seeds, np.log(e.values) if e.is_log else e.values)) for e in found.values()]
    seeds = sorted(set.intersection(*map(set, by_seed)))
    if len(seeds) < 2:
        raise ValueError(f"{len(seeds)} of at least 2 seeds were run at all sizes")
    effects = np.array([[at[seed] for at in by_seed] for seed in seeds], dtype=float)
    places = np.array(list(found), dtype=float) - np.mean(list(found))
    slopes = effects @ places / (places**2).sum()
    if np.ptp(slopes) <= 1e-12 * np.abs(effects).max():
        raise ValueError("its slope is the same for every seed, and what never varies has no interval")
    return slopes


def _inwards(evidence: Evidence) -> float:
    """Which way the claimed side lies from the bar that is nearer to the effect: 1 upwards, -1 downwards."""
    low, high, estimate = (_log(x) if evidence.is_log else x for x in (*evidence.claimed, evidence.estimate))
    return 1.0 if abs(estimate - low) <= abs(high - estimate) else -1.0


def _log(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 else -math.inf


def _at(size: str, found: Evidence | str) -> AtSize:
    if isinstance(found, str):
        return AtSize(size, reason=found)
    return AtSize(size, found.estimate, found.low, found.high, found.word)
