"""What a run of a study ends with: everything a table, a report or a record is drawn from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allyouneed.lab.study import Study

if TYPE_CHECKING:
    from allyouneed.lab.judging.claims import Judgement
    from allyouneed.lab.judging.measurements import GateResult, Measurements
    from allyouneed.lab.trials.result import TrialResult


@dataclass(frozen=True)
class Failure:
    """A trial that ended without measurements, and why; it is named and the rest goes on.

    `size` names a smaller size of the scale, as that of `Tuned` does.
    """

    trial: str
    arm: str
    seed: int
    reason: str
    size: str = ""


@dataclass(frozen=True)
class Tuned:
    """What one arm of one trial was tuned to, where that came from, and warnings such as a grid's edge.

    `size` names a smaller size of the scale ("d_model 32"); it is empty for the scale itself.
    """

    trial: str
    arm: str
    values: dict[str, Any]
    source: str  # "searched" | "recorded" | "the middle of the grid"
    warnings: tuple[str, ...] = ()
    tried: tuple[tuple[dict[str, Any], float], ...] = ()
    size: str = ""


@dataclass(frozen=True)
class Outcome:
    """One finished run.

    `digests` maps a trial to the digest of the sources it reached, `claim_digests` a claim to that
    of its predicate and wording; `data` is (name, version) or None; `inputs` are the paths of what else
    the user gave, by name; `sample` is (label, text), what the best trial chose to show; `ran` and
    `reused` count trials; `core_minutes` is the sum over all trials used, whenever they ran; `minutes`
    is this run's wall time. `smaller` holds the results at the scale's smaller sizes, by the size's name.
    """

    study: Study
    scale_name: str
    scale: Any
    overrides: dict[str, str]
    seeds: list[int]
    extended_from: int | None
    data: tuple[str, str] | None
    device: str
    judgements: list["Judgement"]
    gates: dict[str, "GateResult"]
    measurements: dict[str, "Measurements"]
    failures: list[Failure]
    tuned: list[Tuned]
    sample: tuple[str, str] | None
    digests: dict[str, str]
    claim_digests: dict[str, str]
    packages: dict[str, str]
    machine: dict[str, Any]
    ran: int
    reused: int
    minutes: float
    core_minutes: float
    folder: Path
    notes: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    smaller: dict[str, list["TrialResult"]] = field(default_factory=dict)

    @property
    def here(self) -> list["Judgement"]:
        """Of the claims that this scale and these data are for."""
        return [judgement for judgement in self.judgements if not judgement.elsewhere]

    @property
    def elsewhere(self) -> list[str]:
        """The ids of the others."""
        return [judgement.id for judgement in self.judgements if judgement.elsewhere]

    @property
    def failed(self) -> bool:
        """Whether a trial failed that verdicts rest on; one at a smaller size costs no more than a trend."""
        return any(not failure.size for failure in self.failures)
