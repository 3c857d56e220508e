"""Choosing within a grid: the run that a practitioner who tried all values of one factor would have kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from allyouneed.lab.judging.units import measurement
from allyouneed.lab.trials.result import TrialResult


@dataclass(frozen=True)
class Choice:
    """Of runs that differ in `factor` alone, the one with the least `on`."""

    factor: str
    on: str

    def among(self, results: Sequence[TrialResult]) -> list[TrialResult]:
        """One run of each other combination of factors with each seed, in the order of the results.

        Where a value was not run with a seed there is nothing to choose: that seed is left out.
        """
        n_values = len({result.factors.get(self.factor) for result in results})
        tried: dict[tuple[frozenset[tuple[str, str]], int], list[TrialResult]] = {}
        for result in results:
            others = frozenset(item for item in result.factors.items() if item[0] != self.factor)
            tried.setdefault((others, result.seed), []).append(result)
        return [min(runs, key=self._loss) for runs in tried.values() if len(runs) == n_values]

    def on_edge(self, chosen: Sequence[TrialResult], values: Sequence[str], arm: str) -> str | None:
        """A warning if the best of a grid of numbers was its least or greatest: a wider one might have a better.

        `chosen` are an arm's runs, `values` those of the factor. None if all is well.
        """
        try:
            low, *_, high = sorted(values, key=float)
        except ValueError:  # Names, which have no edge; or a single value.
            return None
        at = [edge for edge in (low, high) if any(run.factors[self.factor] == edge for run in chosen)]
        if not at:
            return None
        n = sum(run.factors[self.factor] in at for run in chosen)
        seeds = f"{n} of {len(chosen)} seeds"
        return f"{self.factor} of {arm}: the edge of its grid ({' and '.join(at)}) was best with {seeds}"

    def _loss(self, result: TrialResult) -> float:
        """What is compared; not a number is the worst there is."""
        loss = float(measurement(result, self.on))
        return math.inf if math.isnan(loss) else loss
