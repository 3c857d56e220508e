"""Side by side: the contenders take turns round by round in one process, and their ratios are what counts.

Absolute speeds drift by 10-50 % within minutes on a shared machine; the ratio of two neighbours in time
does not. So every round runs every contender once, in turning order, and each is compared with the
baseline's time of the same round.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from allyouneed.lab.trials.machine import machine

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Rounds:
    """Seconds of each contender in each round, and how many cores other processes kept busy meanwhile."""

    seconds: dict[str, list[float]]
    others_busy: float

    def ratios(self, name: str, baseline: str) -> list[float]:
        """How many times as fast as the baseline, round by round."""
        return [base / own for base, own in zip(self.seconds[baseline], self.seconds[name], strict=True)]


def alternate(contenders: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> Rounds:
    """Time each contender once a round, after `warm_up` untimed rounds; who begins changes every round."""
    for _ in range(warm_up):
        for run in contenders.values():
            run()
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    others_before, started = _others_seconds(), time.perf_counter()
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            begin = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - begin)
    others_busy = (_others_seconds() - others_before) / (time.perf_counter() - started)
    return Rounds(seconds, others_busy)


def spread(values: list[float], form: str) -> str:
    """Median and range as text."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} .. {max(values):{form}})"


def table(rounds: Rounds, baseline: str, units: float, unit: str) -> str:
    """A markdown table: median speed in `unit` a second (one round is `units` of them), its spread, its ratio."""
    lines = [f"| contender | {unit}/s, median (range) | times {baseline}, median (range) |", "| --- | --- | --- |"]
    for name, seconds in rounds.seconds.items():
        speed = [units / second for second in seconds]
        lines.append(f"| {name} | {spread(speed, '.0f')} | {spread(rounds.ratios(name, baseline), '.2f')} |")
    return "\n".join(lines)


def conditions(rounds: Rounds) -> str:
    """Hardware, versions, and how disturbed the measurement was, as markdown."""
    count = len(next(iter(rounds.seconds.values())))
    facts = "; ".join(f"{name}: {value}" for name, value in machine().items())
    return (
        f"{count} rounds, alternating. Cores busy with other processes meanwhile: {rounds.others_busy:.2f}.\n\n{facts}."
    )


def write(name: str, text: str) -> None:
    """Print the report and keep it under benchmarks/results/."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n")
    print(text)


def _others_seconds() -> float:
    """Core-seconds that the machine has worked for others than this process; NaN where it does not tell."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except FileNotFoundError:
        return math.nan
    user, nice, system, _, _, irq, soft_irq, *_ = (int(field) for field in fields)
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])
