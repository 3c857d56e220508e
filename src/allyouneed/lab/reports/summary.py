"""What a terminal, a report and a record all say of an `Outcome`, worked out once."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allyouneed.lab import papers
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.study import Study, seeds_of

if TYPE_CHECKING:
    from allyouneed.lab.judging.claims import Judgement
    from allyouneed.lab.judging.measurements import Measurements

WORDS = {
    "holds": "The whole 95 % interval lies on the claimed side of the bar. At this scale, with this data: it says "
    "nothing of larger models until they are run.",
    "contradicted": "The whole interval lies on the other side: at this scale the opposite was measured.",
    "inconclusive": "The interval covers the bar, so these runs cannot tell; or an arm did not learn enough for its "
    "numbers to mean anything. “Smallest effect” says what this many runs could have shown.",
    "not run": "The claim was not tested here, for the reason given.",
}

COLOURS = {
    "holds": "green",
    "contradicted": "red",
    "inconclusive": "yellow",
    "not run": "bright_black",
}  # in a terminal


@dataclass(frozen=True)
class Cell:
    """One measurement of one arm: its mean over n runs (and over items), and the 95 % interval over runs.

    One run has no interval, nor have runs that are all equal.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        return digits(self.mean)

    @property
    def interval(self) -> str:
        """The interval as text; empty where there is none."""
        return "" if self.low is None or self.high is None else f"[{digits(self.low)}, {digits(self.high)}]"


def words(outcome: Outcome) -> dict[str, int]:
    """How many of the claims for this scale and these data ended with each word, in the order of `WORDS`."""
    counts = Counter(judgement.word for judgement in outcome.here)
    return {word: counts[word] for word in WORDS if counts[word]}


def headline(outcome: Outcome) -> str:
    """`rope at laptop scale: 2 hold, 1 inconclusive, 1 not run`."""
    said = [f"{n} {'hold' if word == 'holds' and n > 1 else word}" for word, n in words(outcome).items()]
    return f"{outcome.study.paper} at {outcome.scale_name} scale: {', '.join(said)}"


def verdict(judgement: "Judgement", where: str) -> str:
    """The verdict with what it is bound to: `holds at laptop scale, grows from d_model 32`, never a bare word."""
    said = judgement.word if judgement.word == "not run" else f"{judgement.word} {where}"
    if judgement.trend and judgement.trend.short:
        said += f", {judgement.trend.short}"
    return f"{said}: {judgement.reason}" if judgement.reason else said


def arm_table(m: "Measurements") -> tuple[list[str], dict[str, dict[str, Cell]]]:
    """The names of all measurements, and the cells by arm and name; what an arm lacks is left out."""
    names = list(dict.fromkeys(name for r in m.results if r.trial == m.trial for name in r.measurements))
    table = {}
    for arm in m.arms:
        measured = {name for r in m.results if r.trial == m.trial and r.arm == arm for name in r.measurements}
        table[arm] = {name: _cell(m, name, arm) for name in names if name in measured}
    return names, table


def all_arms(measurements: Mapping[str, "Measurements"]) -> list[str]:
    """The arms of all trials in one order, which fixes their colours in every figure."""
    return list(dict.fromkeys(arm for m in measurements.values() for arm in m.arms))


def reference(study: Study) -> str:
    """What a user types for this study: a paper's slug, or the path of their own file."""
    file = study.file
    if file is None or file.is_relative_to(papers.FOLDER):
        return study.paper
    return f"./{file.relative_to(Path.cwd())}" if file.is_relative_to(Path.cwd()) else str(file)


def command(
    outcome: Outcome,
    arms: Mapping[str, str] | None = None,
    grid: Mapping[str, str] | None = None,
    retune: bool = False,
) -> str:
    """The command that runs this again; `arms`, `grid` and `retune` as given to --arm, --grid and --retune."""
    parts = ["allyouneed", "run", reference(outcome.study), "--scale", outcome.scale_name]
    if len(outcome.seeds) != seeds_of(outcome.scale_name, outcome.scale):
        parts += ["--seeds", str(len(outcome.seeds))]
    if {j.id for j in outcome.judgements} != set(outcome.study.claims):
        parts += ["--claims", ",".join(j.id for j in outcome.judgements)]
    if outcome.data is not None and outcome.data[0] != outcome.study.data:
        parts += ["--data", outcome.data[0]]
    for name, path in outcome.inputs.items():
        parts += [f"--{name}", path]
    parts += ["--device", outcome.device]
    for option, pairs in (("--set", outcome.overrides), ("--arm", arms or {}), ("--grid", grid or {})):
        for name, value in pairs.items():
            parts += [option, f"{name}={value}"]
    if retune:
        parts.append("--retune")
    return shlex.join(parts)


def digits(value: float) -> str:
    """A number to four digits, last zeros kept so that columns line up: `1.500`."""
    return f"{value:#.4g}".rstrip(".")


def duration(minutes: float) -> str:
    """Minutes for people: `40 s`, `5.2 min`, `3.1 h`."""
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def chosen(values: Mapping[str, object]) -> str:
    """Tuned values for people: `lr=0.003, rank=8`."""
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def seed_list(seeds: Sequence[int]) -> str:
    """`0-4` for a run of numbers, else all of them."""
    seeds = list(seeds)
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _cell(m: "Measurements", name: str, arm: str) -> Cell:
    from allyouneed.lab.judging.statistics import t_interval

    values = m.values(name, arm)
    per_run = values.reshape(len(values), -1).mean(axis=1)
    if len(per_run) < 2 or (per_run == per_run[0]).all():
        return Cell(float(per_run[0]), None, None, len(per_run))
    interval = t_interval(per_run)
    return Cell(interval.estimate, interval.low, interval.high, interval.n)
