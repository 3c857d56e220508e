"""Whether a recorded verdict stands: the same claim on new seeds, held against what the record foretells.

Two rules, for claims whose unit is the seed. The mean of the new seeds lies inside the record's 95 %
prediction interval: mean -+ t s sqrt(1/n + 1/n_new), with the record's mean, deviation s and n - 1
degrees of freedom. And all seeds together, against the same bar, say the recorded word: at the higher level
of the two, and for a recorded `inconclusive`, which seeds are added to until they decide it, at 97.5 %. What
cannot be pooled (items of one model, rounds of two days, exact draws) is compared by its word.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.judging.effects import Effect
from allyouneed.lab.judging.evidence import ClaimError, Evidence

OUTCOMES = ("stands", "does not stand", "not comparable")
SECOND_LOOK = 0.975  # as for a verdict that seeds were added to


@dataclass(frozen=True)
class Comparison:
    """A recorded verdict beside the new one: one of OUTCOMES, and why.

    `predicted` is where the record expects the mean of the new units, `pooled` the evidence of all of them;
    both are None where the unit does not allow them. Ratios are given as ratios.
    """

    recorded: Judgement
    new: Judgement
    outcome: str
    why: str
    predicted: tuple[float, float] | None = None
    pooled: Evidence | None = None

    @property
    def was_judged(self) -> bool:
        """Whether the record had a verdict that could stand or fall."""
        return self.recorded.word != "not run"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; of the recorded evidence only what is shown, since the record has it."""
        before = self.recorded.evidence
        shown = ("estimate", "low", "high", "n", "unit", "level")
        return {
            "id": self.recorded.id,
            "outcome": self.outcome,
            "why": self.why,
            "recorded": {"verdict": self.recorded.verdict} | {k: getattr(before, k) for k in shown if before},
            "predicted": list(self.predicted) if self.predicted else None,
            "new": self.new.to_dict(),
            "pooled": self.pooled.to_dict() if self.pooled else None,
        }


def prediction_interval(
    values: Float[np.ndarray, "*studies n"], n_new: int, level: float = 0.95
) -> tuple[Float[np.ndarray, "*studies"], Float[np.ndarray, "*studies"]]:
    """Where the mean of `n_new` further values will lie, if they are drawn as the last axis of `values` was.

    Normal values: the ends hold the new mean in exactly `level` of all studies. Raises ValueError for
    fewer than 2 values, whose spread is unknown.
    """
    n = values.shape[-1]
    if n < 2:
        raise ValueError(f"a prediction needs at least 2 values, got {n}")
    critical = stats.t.ppf((1 + level) / 2, n - 1)
    half = critical * values.std(axis=-1, ddof=1) * math.sqrt(1 / n + 1 / n_new)
    mean = values.mean(axis=-1)
    return mean - half, mean + half


def compare(recorded: Judgement, new: Judgement) -> Comparison:
    """Hold the verdict on new seeds against the recorded one."""
    before, now = recorded.evidence, new.evidence
    if before is None or now is None:
        return Comparison(recorded, new, *_without_evidence(recorded, new))
    if before.unit != now.unit:
        why = f"recorded over {before.unit}, now over {now.unit}"
        return Comparison(recorded, new, "not comparable", why)
    if before.unit == "seeds":
        return _over_seeds(recorded, new, before, now)
    if before.unit == "items x seeds":
        predicted = _predicted(before, now)
        return _by_word(recorded, new, _place(now.estimate, predicted), predicted)
    what = {
        "exact": f"{now.n} new draws, each checked as before",
        "items": "other trainings on the same items; words are compared, items are not pooled",
        "rounds": "rounds of two runs differ by the state of the machine: words are compared, rounds not pooled",
    }
    return _by_word(recorded, new, what[before.unit])


def _without_evidence(recorded: Judgement, new: Judgement) -> tuple[str, str]:
    """Where one of the two has no numbers: only the same failed gate can be said to stand."""
    if recorded.word == "not run":
        return "not comparable", f"the record did not run it: {recorded.reason}"
    if recorded.word == new.word == "inconclusive" and recorded.evidence is new.evidence is None:
        return "stands", f"again {new.reason}"
    if recorded.evidence is None:
        return "not comparable", f"recorded was {recorded.verdict}; now {new.verdict}"
    return "not comparable", f"now {new.verdict}"


def _over_seeds(recorded: Judgement, new: Judgement, before: Evidence, now: Evidence) -> Comparison:
    predicted = _predicted(before, now)
    try:
        least = SECOND_LOOK if recorded.word == "inconclusive" else 0.0
        pooled = _pooled(before, now, max(before.level, now.level, least))
    except ClaimError as error:
        return Comparison(recorded, new, "not comparable", f"the seeds cannot be pooled: {error}", predicted)
    same = pooled.word == recorded.word
    change = _change(recorded.word, pooled.word)
    if recorded.word == "inconclusive" and not same:
        change = f"now {pooled.word}, more seeds decided it"
    stands = same and _inside(now.estimate, predicted)
    why = f"{_place(now.estimate, predicted)}; all {pooled.n} seeds together: {change}"
    return Comparison(recorded, new, "stands" if stands else "does not stand", why, predicted, pooled)


def _by_word(
    recorded: Judgement, new: Judgement, what: str, predicted: tuple[float, float] | None = None
) -> Comparison:
    """The same word and, where there is a prediction, an estimate inside it."""
    assert new.evidence is not None
    stands = new.word == recorded.word and (predicted is None or _inside(new.evidence.estimate, predicted))
    outcome = "stands" if stands else "does not stand"
    return Comparison(recorded, new, outcome, f"{_change(recorded.word, new.word)} ({what})", predicted)


def _predicted(before: Evidence, now: Evidence) -> tuple[float, float]:
    """Where the record expects the new estimate, in the units that are shown.

    Old records do not say whether theirs are ratios; the claim as it is judged now does.
    """
    low, high = map(float, prediction_interval(_judged_values(before, now.is_log), now.n))
    return (math.exp(low), math.exp(high)) if now.is_log else (low, high)


def _pooled(before: Evidence, now: Evidence, level: float) -> Evidence:
    """All seeds as one sample, against the bar as it is judged now."""
    values = np.concatenate([_judged_values(evidence, now.is_log) for evidence in (before, now)])
    both = Effect(values, now.unit, level, now.label, before.seeds + now.seeds, now.uses, is_log=now.is_log)
    return both.between(*now.claimed)


def _judged_values(evidence: Evidence, is_log: bool) -> Float[np.ndarray, " units"]:
    values = np.array(evidence.values)
    return np.log(values) if is_log else values


def _inside(estimate: float, predicted: tuple[float, float]) -> bool:
    return predicted[0] <= estimate <= predicted[1]


def _place(estimate: float, predicted: tuple[float, float]) -> str:
    where = "inside" if _inside(estimate, predicted) else "outside"
    return f"the new mean lies {where} the predicted interval"


def _change(before: str, after: str) -> str:
    return f"still {after}" if before == after else f"recorded {before}, now {after}"
