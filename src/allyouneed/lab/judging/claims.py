"""The verdict on a claim: what is checked, in which order, before a word is spoken.

Light: judgements are also read from records, without numpy or scipy.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from allyouneed.lab.judging.evidence import ClaimError, Evidence, GateResult
from allyouneed.lab.judging.trend import Trend
from allyouneed.lab.outcome import Failure
from allyouneed.lab.study import Claim, Gate

if TYPE_CHECKING:
    from allyouneed.lab.judging.measurements import Measurements

WORDS = ("holds", "contradicted", "inconclusive", "not run")
ELSEWHERE = "not judged at this scale with these data"  # the reason of a claim that the scale leaves to another


@dataclass(frozen=True)
class Judgement:
    """A claim with its verdict: one of WORDS, and for the last two possibly a reason.

    `trend` is how its effect moves with the model's size, where smaller sizes were run.
    """

    id: str
    statement: str
    paper: str
    word: str
    reason: str = ""
    weaker_form: str | None = None
    evidence: Evidence | None = None
    trend: Trend | None = None

    @property
    def verdict(self) -> str:
        """The word with its reason: `holds`, `inconclusive: sinusoidal did not learn`."""
        return f"{self.word}: {self.reason}" if self.reason else self.word

    @property
    def elsewhere(self) -> bool:
        """Whether the scale leaves this claim to another scale or other data."""
        return self.reason == ELSEWHERE

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {
            "evidence": self.evidence.to_dict() if self.evidence else None,
            "trend": self.trend.to_dict() if self.trend else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Judgement":
        """The judgement that `to_dict` described."""
        evidence, trend = values["evidence"], values.get("trend")
        return cls(
            **{
                **values,
                "evidence": Evidence.from_dict(evidence) if evidence else None,
                "trend": Trend.from_dict(trend) if trend else None,
            }
        )


def judge(
    claim: Claim,
    m: "Measurements | None",
    gates: Iterable[tuple[Gate, GateResult]] = (),
    failures: Sequence[Failure] = (),
    *,
    level: float = 0.95,
    extended_from: int | None = None,
) -> Judgement:
    """The verdict on one claim.

    `not run` if the study says so, if a trial that the claim reads failed, or if its measurements
    cannot carry it (one seed, no such arm); `inconclusive` if an arm that it reads failed a gate, or any
    did and it cannot be told what it reads; else the word of the claim's evidence. `extended_from`: the
    verdict was shown before, with so many seeds; this second look is judged at half the error (Bonferroni),
    and says so.
    """
    judgement = Judgement(claim.id, claim.statement, claim.paper, "not run", weaker_form=claim.weaker_form)
    if claim.not_run is not None:
        return replace(judgement, reason=claim.not_run)
    if claim.function is None or m is None:
        return replace(judgement, reason="it has no trials")
    if extended_from is not None:
        level = 1 - (1 - level) / 2
    m = m.judged(level, failures)
    evidence = _evidence(claim.function, m)
    known = isinstance(evidence, Evidence)
    failed = {arm: None for _, gate in gates for arm in (gate.failed_among(m.reads) if known else gate.failed_arms)}
    if failed:
        return replace(judgement, word="inconclusive", reason=f"{', '.join(failed)} did not learn")
    if isinstance(evidence, str):
        return replace(judgement, reason=evidence)
    if extended_from is not None:
        evidence = replace(evidence, notes=(f"extended from n={extended_from}", *evidence.notes))
    return replace(judgement, word=evidence.word, evidence=evidence)


def _evidence(function: Callable[..., Any], m: "Measurements") -> Evidence | str:
    """What a claim's function gives; or why that is no evidence."""
    try:
        evidence = function(m)
    except ClaimError as error:
        return str(error)
    except Exception as error:  # A study's own code: the other claims must not be lost with it.
        return f"its function failed: {type(error).__name__}: {error}"
    if not isinstance(evidence, Evidence):
        return f"its function gave {evidence!r:.60}, not evidence such as m.less(...) gives"
    return evidence


def how_many_tested(judgements: Iterable[Judgement]) -> int:
    """How many claims were put to the test, as against not run or stopped by a gate."""
    return sum(judgement.evidence is not None for judgement in judgements)


def luck_note(judgements: Iterable[Judgement]) -> str:
    """A sentence for a report: how many claims were tested, and how easily chance makes one hold.

    Counts the claims with intervals, as if independent; a claim checked exactly leaves nothing to chance.
    """
    judgements = list(judgements)
    levels = [j.evidence.level for j in judgements if j.evidence is not None and j.evidence.unit != "exact"]
    tested = how_many_tested(judgements)
    sentence = f"{tested} claim{'s' if tested != 1 else ''} tested"
    if not levels:
        return f"{sentence}."
    none_by_luck = 1.0
    for level in levels:
        none_by_luck *= (1 + level) / 2
    return (
        f"{sentence}: if none of these effects were real, chance alone would make "
        f"at least one hold in {1 - none_by_luck:.0%} of such studies."
    )
