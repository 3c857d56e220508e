"""From one number a unit to a word: interval, bar, `holds` or not, and what n could have shown."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from allyouneed.lab.judging.evidence import ClaimError, Evidence
from allyouneed.lab.judging.statistics import (
    Interval,
    bootstrap_interval,
    crossed_interval,
    detectable,
    detectable_margin,
    t_interval,
    visible_deviations,
)

INTERVALS: dict[str, Callable[..., Interval]] = {
    "seeds": t_interval,
    "rounds": t_interval,
    "items": bootstrap_interval,
    "items x seeds": crossed_interval,
}
LEAST = {"seeds": 2, "rounds": 7, "items": 30, "items x seeds": 2}
FEW_SEEDS = 5


@dataclass(frozen=True)
class Effect:
    """One number a unit, waiting for a bar; made by `Measurements.effect`.

    `values` has one number a unit, or seeds x items where both are drawn. With `is_log` the values are
    logarithms of ratios: bars and evidence are ratios.
    """

    values: Float[np.ndarray, " units"] | Float[np.ndarray, "seeds items"]
    unit: str
    level: float
    label: str
    seeds: tuple[int, ...]
    uses: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    is_log: bool = False

    def above(self, bar: float) -> Evidence:
        """Claimed: the effect is greater than `bar`."""
        return self.between(bar, math.inf)

    def below(self, bar: float) -> Evidence:
        """Claimed: the effect is less than `bar`."""
        return self.between(-math.inf, bar)

    def within(self, margin: float) -> Evidence:
        """Claimed: the effect lies in [-margin, margin]. An equivalence: the whole interval must."""
        return self.between(-margin, margin)

    def between(self, low: float, high: float) -> Evidence:
        """Claimed: the effect lies between two bars, of which one may be infinite (or 0, for a ratio).

        Raises ClaimError for bars with nothing between them, too few units, and units that never vary.
        """
        if self.is_log:
            low, high = (math.log(bar) if bar > 0 else -math.inf for bar in (low, high))
        if not low < high or (math.isinf(low) and math.isinf(high)):
            raise ClaimError(f"no claim: {self.label or 'the effect'} between {low:g} and {high:g}")
        bar = self._bar(low, high)
        if self.unit == "exact":
            return self._exact(low, high, bar)
        self._require_units()
        interval = INTERVALS[self.unit](self.values, self.level)
        smallest, sentence = self._smallest(interval, low, high)
        return Evidence(
            estimate=self._shown(interval.estimate),
            low=self._shown(interval.low),
            high=self._shown(interval.high),
            n=interval.n,
            unit=self.unit,
            level=self.level,
            bar=bar,
            word=_word(interval, low, high),
            smallest_effect=smallest,
            values=tuple(self._shown(float(value)) for value in self._per_unit()),
            notes=(*self.notes, sentence, *self._warnings()),
            label=self.label,
            seeds=self.seeds,
            uses=self.uses,
            claimed=(self._shown(low), self._shown(high)),
            is_log=self.is_log,
        )

    def _exact(self, low: float, high: float, bar: str) -> Evidence:
        """Every draw must meet the bar, ends included; one that is not a number meets none."""
        if not self.values.size:
            raise ClaimError("no draws: nothing was checked")
        excess = np.maximum(low - self.values, self.values - high)
        # argmax stops at the first NaN, which is as bad as a draw can be.
        worst = float(self.values[np.argmax(excess)])
        return Evidence(
            estimate=worst,
            low=None,
            high=None,
            n=len(self.values),
            unit="exact",
            level=self.level,
            bar=bar,
            word="holds" if (excess <= 0).all() else "contradicted",
            smallest_effect=None,
            values=tuple(map(float, self.values)),
            notes=(*self.notes, f"exact: checked on {len(self.values)} draws, the worst is given"),
            label=self.label,
            seeds=self.seeds,
            uses=self.uses,
            claimed=(self._shown(low), self._shown(high)),
        )

    def _bar(self, low: float, high: float) -> str:
        shown_low, shown_high = self._shown(low), self._shown(high)
        if math.isinf(high):
            return f"above {shown_low:g}"
        if math.isinf(low):
            return f"below {shown_high:g}"
        return f"within ±{high:g}" if low == -high and not self.is_log else f"between {shown_low:g} and {shown_high:g}"

    def _require_units(self) -> None:
        n, least = len(self.values), LEAST[self.unit]
        if n < least:
            what = "seeds" if self.unit == "items x seeds" else self.unit
            raise ClaimError(f"{n} of at least {least} {what}: too few for an interval")
        if self.unit == "items x seeds":
            if self.values.shape[1] < LEAST["items"]:
                raise ClaimError(f"{self.values.shape[1]} of at least {LEAST['items']} items: too few for an interval")
            if _identical(self.values):
                raise ClaimError(f"all {n} seeds give the same on every item; use one seed and unit 'items'")
        if _identical(self.values.ravel()):
            raise ClaimError(
                f"the {n} {self.unit} all give {self.values.flat[0]:.6g}: "
                "what never varies has no interval (for a fact that is exact use unit 'exact')"
            )

    def _smallest(self, interval: Interval, low: float, high: float) -> tuple[float, str]:
        two_sided = math.isfinite(low) and math.isfinite(high)
        find = detectable_margin if two_sided else detectable
        smallest = self._shown(find(interval.se, interval.df, self.level))
        if two_sided:
            return smallest, f"narrowest margin this n could have shown: {smallest:.2g} (80 % power, at its middle)"
        bar = low if math.isfinite(low) else high
        what = "smallest effect" if bar == 0 else "smallest distance from the bar"
        factor = "a factor of " if self.is_log else ""
        digits = 4 if self.is_log else 2
        return smallest, f"{what} this n could have shown: {factor}{smallest:.{digits}g} (80 % power)"

    def _warnings(self) -> list[str]:
        n = len(self.values)
        if self.unit == "seeds" and n < FEW_SEEDS:
            return [
                f"{n} pairs can only see effects beyond {visible_deviations(n, self.level):.1f} standard deviations"
            ]
        if self.unit == "items":
            return ["one seed: the interval speaks of other items, not of other trainings"]
        if self.unit == "items x seeds":
            return [f"{n} seeds x {self.values.shape[1]} items, both drawn at random"]
        return []

    def _per_unit(self) -> Float[np.ndarray, " units"]:
        return self.values.mean(axis=1) if self.unit == "items x seeds" else self.values

    def _shown(self, value: float) -> float:
        return math.exp(value) if self.is_log else value


def _word(interval: Interval, low: float, high: float) -> str:
    if low < interval.low and interval.high < high:
        return "holds"
    if interval.high < low or interval.low > high:
        return "contradicted"
    return "inconclusive"


def _identical(values: np.ndarray) -> bool:
    """Whether the units (first axis) are equal up to rounding."""
    return bool((np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(axis=0)).all())
