"""Short ways of saying the common claims; each is one effect and one bar."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from allyouneed.lab.judging.effects import Effect
from allyouneed.lab.judging.evidence import ClaimError, Evidence
from allyouneed.lab.judging.statistics import binomial_noise
from allyouneed.lab.judging.units import Unit


class Comparisons:
    """What a claim may say of measurements, in words; everything comes down to `effect`."""

    def effect(self, f: Callable[[Unit], Any], unit: str = "seeds", label: str = "") -> Effect:
        """See `Measurements.effect`."""
        raise NotImplementedError

    def less(
        self, name: str, arm: str, *, than: str, by: float = 0.0, unit: str = "seeds", items: int | None = None
    ) -> Evidence:
        """Claimed: `arm` has less of a measurement than `than`, by more than `by`.

        The effect is `than - arm`. `items`: the measurement is an accuracy over so many items.
        """
        return self._difference(name, than, arm, unit, items).above(by)

    def more(
        self, name: str, arm: str, *, than: str, by: float = 0.0, unit: str = "seeds", items: int | None = None
    ) -> Evidence:
        """Claimed: `arm` has more of a measurement than `than`, by more than `by`.

        The effect is `arm - than`. With `by=-margin` this is `no_worse` where more is better.
        """
        return self._difference(name, arm, than, unit, items).above(by)

    def no_worse(
        self, name: str, arm: str, *, than: str, margin: float, unit: str = "seeds", items: int | None = None
    ) -> Evidence:
        """Claimed: of a measurement where less is better, `arm` has at most `margin` more than `than`.

        One-sided: the whole interval of `arm - than` lies below the margin; being better is no fault.
        """
        return self._difference(name, arm, than, unit, items).below(margin)

    def same(
        self, name: str, a: str, b: str, *, margin: float, unit: str = "seeds", items: int | None = None
    ) -> Evidence:
        """Claimed: two arms differ by no more than `margin`. The whole interval of `a - b` lies inside it."""
        return self._difference(name, a, b, unit, items).within(margin)

    def ratio(
        self, name: str, arm: str, *, to: str, above: float = 0.0, below: float = math.inf, unit: str = "seeds"
    ) -> Evidence:
        """Claimed: `arm / to` lies above and/or below a bar. The interval is that of the mean logarithm.

        Raises ClaimError if a measurement is not positive.
        """

        def log_ratio(u: Unit) -> Any:
            a, b = u[arm][name], u[to][name]
            if np.min(a) <= 0 or np.min(b) <= 0:
                raise ClaimError(f"{name!r} has no ratio: {arm} has {np.min(a):g}, {to} has {np.min(b):g}")
            return np.log(a) - np.log(b)

        effect = self.effect(log_ratio, unit, f"{name}: {arm} / {to}")
        return replace(effect, is_log=True).between(above, below)

    def slope(
        self,
        name: str,
        x: Mapping[str, float],
        *,
        above: float = -math.inf,
        below: float = math.inf,
        y: Callable[[float], float] = float,
        unit: str = "seeds",
    ) -> Evidence:
        """Claimed: the least-squares slope of `y(measurement)` against `x[arm]` lies above and/or below a bar.

        For a power law give logarithms: `m.slope("loss", {"d64": math.log(64), ...}, y=math.log, below=0)`.
        """
        at = np.array(list(x.values()), dtype=float)
        if len(set(x.values())) < 2:
            raise ClaimError(f"a slope needs arms at 2 or more places, got {dict(x)}")
        weights = (at - at.mean()) / ((at - at.mean()) ** 2).sum()
        effect = self.effect(
            lambda u: weights @ [y(u[arm][name]) for arm in x], unit, f"{name}: slope over {', '.join(x)}"
        )
        return effect.between(above, below)

    def exact(self, name: str, tolerance: float) -> Evidence:
        """Claimed: every element of a measurement, of every arm and seed, lies within the tolerance of 0."""

        def all_elements(u: Unit) -> Any:
            return np.concatenate([np.ravel(u[arm][name]) for arm in u])

        return self.effect(all_elements, "exact", name).within(tolerance)

    def _difference(self, name: str, a: str, b: str, unit: str, items: int | None) -> Effect:
        effect = self.effect(lambda u: u[a][name] - u[b][name], unit, f"{name}: {a} - {b}")
        if items is None:
            return effect
        means = self.effect(lambda u: (np.mean(u[a][name]) + np.mean(u[b][name])) / 2, unit)
        p = float(means.values.mean())
        if not 0 <= p <= 1:
            raise ClaimError(f"items={items}, but {name!r} is no accuracy: its mean is {p:.3g}")
        noise = f"binomial noise of one accuracy of {p:.2f} over {items} items: {binomial_noise(p, items):.2g}"
        return replace(effect, notes=(*effect.notes, f"{noise} (standard error)"))
