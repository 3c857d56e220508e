"""The picture of one piece of evidence: its interval against the bar, on the claimed side or not."""

import math
from dataclasses import dataclass

from allyouneed.lab.judging.evidence import Evidence

WIDTH, MARGIN = 640.0, 34.0
_MOST_DOTS = 60


@dataclass(frozen=True)
class Tick:
    """A number on the axis, and where it stands (in the drawing's units)."""

    x: float
    text: str


@dataclass(frozen=True)
class IntervalPlot:
    """Where everything stands: `low`, `middle`, `high` of the interval, a dot a unit, the claimed side and its bars."""

    low: float
    middle: float
    high: float
    dots: tuple[float, ...]
    claimed: tuple[float, float]
    bars: tuple[Tick, ...]
    ends: tuple[Tick, ...]

    @property
    def ends_close(self) -> bool:
        """Whether the two numbers would touch if each stood centred below its end."""
        return self.high - self.low < 56


def interval_plot(evidence: Evidence) -> IntervalPlot | None:
    """The geometry of an evidence; None where there is no interval to draw (unit "exact", or not finite)."""
    if evidence.low is None or evidence.high is None:
        return None
    bars = [bar for bar in evidence.claimed if math.isfinite(bar)]
    dots = evidence.values if len(evidence.values) <= _MOST_DOTS else ()
    shown = [evidence.low, evidence.high, *bars, *dots]
    if not all(map(math.isfinite, shown)) or max(shown) == min(shown):
        return None
    pad = 0.08 * (max(shown) - min(shown))
    left, right = min(shown) - pad, max(shown) + pad

    def x(value: float) -> float:
        return round(MARGIN + (min(max(value, left), right) - left) / (right - left) * (WIDTH - 2 * MARGIN), 1)

    low, high = evidence.claimed
    return IntervalPlot(
        low=x(evidence.low),
        middle=x(evidence.estimate),
        high=x(evidence.high),
        dots=tuple(x(dot) for dot in dots),
        claimed=(x(low), x(high)),
        bars=tuple(Tick(x(bar), f"{bar:.4g}") for bar in bars),
        ends=tuple(Tick(x(end), f"{end:.3g}") for end in (evidence.low, evidence.high)),
    )
