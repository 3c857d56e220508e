"""What a run is asked for, and whether the study can do it."""

import dataclasses
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.judging.claims import ELSEWHERE
from allyouneed.lab.study import Claim, Study, seeds_of

TUNING_SEED = 10_000  # The first of the seeds that tuning uses; claims count from 0.


@dataclass(frozen=True)
class Options:
    """What the user asks for; the fields are the options of `allyouneed run`.

    Without `trend` nothing is run at a scale's smaller sizes.
    """

    reference: str
    scale: str = "laptop"
    seeds: int | None = None
    claims: tuple[str, ...] = ()
    data: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    device: str = "auto"
    jobs: int | None = None
    out: Path = Path("runs")
    overrides: dict[str, str] = field(default_factory=dict)
    arms: dict[str, str] = field(default_factory=dict)
    retune: bool = False
    grid: dict[str, str] = field(default_factory=dict)
    trend: bool = True
    budget: str | None = None


@dataclass(frozen=True)
class Draw:
    """Where a run's seeds begin: those of its trials, of which the first also makes what all share, and of tuning."""

    first: int = 0
    tuning: int = TUNING_SEED


def check_size(data: Any) -> None:
    """Refuse data too small for anything before anything is trained on them."""
    for split in ("train", "tune", "test") if data else ():
        size, least = len(getattr(data, split)), data.least
        if size < least:
            raise UserError(f"{data.name} is too small: its {split} split has {size} {data.unit}, {least} are needed")


def check_inputs(study: Study, inputs: dict[str, str]) -> None:
    """Refuse inputs that the study does not take, and paths where nothing is."""
    for name, path in inputs.items():
        if name not in study.inputs:
            takes = ", ".join(f"--{known}" for known in study.inputs)
            raise UserError(f"{study.paper} takes no --{name}" + (f"; it takes {takes}" if takes else ""))
        if not Path(path).expanduser().exists():
            raise UserError(f"--{name} {path}: no such file or folder; {study.paper} wants {study.inputs[name]}")


def check_grid(study: Study, grid: dict[str, str]) -> None:
    """Refuse a grid of what the study does not tune."""
    tuned = {name for trial in study.trials.values() if trial.tune for name in trial.tune.values}
    for name in grid:
        if name not in tuned:
            raise UserError(
                f"--grid {name}: not tuned by {study.paper}; tuned are {', '.join(sorted(tuned)) or 'none'}"
            )


def chosen_claims(study: Study, ids: Iterable[str], of_scale: Collection[str], *, own_data: bool) -> list[Claim]:
    """The claims that the user names; else all. Those that the scale leaves out are not run: of what no run can judge
    the reason stands on the study's own data, and nothing on others."""
    ids, of_scale = list(ids), of_scale or study.claims
    unknown = [id for id in ids if id not in study.claims]
    if unknown:
        raise UserError(f"{study.paper} has no claim {', '.join(unknown)}; it has {', '.join(study.claims)}")
    if ids:
        return [claim for claim in study.claims.values() if claim.id in ids]
    return [
        claim if claim.id in of_scale or (claim.not_run and own_data) else dataclasses.replace(claim, not_run=ELSEWHERE)
        for claim in study.claims.values()
    ]


def n_seeds(options: Options, scale: Any, draw: Draw) -> int:
    """How many seeds are asked for, by the user or else by the scale. Raises UserError for a number that cannot be."""
    if options.seeds is not None and options.budget is not None:
        raise UserError("--budget works out the number of seeds: leave out --seeds")
    n = options.seeds if options.seeds is not None else seeds_of(options.scale, scale)
    if n < 1 or n > TUNING_SEED - draw.first:
        raise UserError(f"--seeds {n}: give a number between 1 and {TUNING_SEED - draw.first}")
    return n
