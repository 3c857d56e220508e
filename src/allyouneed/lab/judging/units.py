"""One unit of a comparison, as the function of a claim sees it: `u[arm][measurement]`.

A unit is one seed, or one item (or round) of one seed. It notes what is read from it, so that the
engine knows which arms must have run, and a record which measurements a claim rests on.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from allyouneed.lab.judging.evidence import ClaimError
from allyouneed.lab.trials.result import TrialResult

Find = Callable[[str, int], TrialResult]


class Absent(Exception):
    """An arm was not run with a seed; the seed is left out of the comparison."""


@dataclass
class Reads:
    """What the function of a claim has read: the arms it asked for, and the length of each measurement (or None).

    `arms` has them by the name they are shown by, `uses` by the name they were run under.
    """

    arms: set[str] = field(default_factory=set)
    uses: dict[tuple[str, str], int | None] = field(default_factory=dict)

    def length(self) -> int | None:
        """The common length of the vectors that were read; None if there was none.

        Raises ClaimError if they differ.
        """
        lengths = {use: n for use, n in self.uses.items() if n is not None}
        if len(set(lengths.values())) > 1:
            named = ", ".join(f"{n} for {name!r} of {arm}" for (arm, name), n in lengths.items())
            raise ClaimError(f"vectors of different lengths cannot be paired: {named}")
        return next(iter(lengths.values()), None)


@dataclass(frozen=True)
class Unit(Mapping[str, "ArmOfUnit"]):
    """All arms with one seed; with `item`, that item of every vector (a number counts for all items)."""

    arms: tuple[str, ...]
    find: Find
    seed: int
    reads: Reads
    item: int | None = None

    def __getitem__(self, arm: str) -> "ArmOfUnit":
        self.reads.arms.add(arm)
        return ArmOfUnit(arm, self.find(arm, self.seed), self.reads, self.item)

    def __iter__(self) -> Iterator[str]:
        return iter(self.arms)

    def __len__(self) -> int:
        return len(self.arms)


@dataclass(frozen=True)
class ArmOfUnit(Mapping[str, Any]):
    """The measurements of one arm within a unit."""

    arm: str
    result: TrialResult
    reads: Reads
    item: int | None

    def __getitem__(self, name: str) -> Any:
        value = measurement(self.result, name)
        is_vector = isinstance(value, list)
        self.reads.uses[self.result.arm, name] = len(value) if is_vector else None
        if not is_vector:
            return value
        if self.item is None:
            return np.asarray(value, dtype=float)
        if self.item >= len(value):
            self.reads.length()
        return value[self.item]

    def __iter__(self) -> Iterator[str]:
        return iter(self.result.measurements)

    def __len__(self) -> int:
        return len(self.result.measurements)


def measurement(result: TrialResult, name: str) -> Any:
    """A measurement by its name. Raises ClaimError with the nearest names if there is none."""
    if name not in result.measurements:
        raise ClaimError(f"{result.arm}, seed {result.seed} has no {unknown('measurement', name, result.measurements)}")
    return result.measurements[name]


def one_number(value: Any, where: str) -> float:
    """What the function of a claim gave for one unit. Raises ClaimError unless it is one finite number."""
    if np.ndim(value) != 0:
        raise ClaimError(
            f"expected one number for {where}, got an array of shape {np.shape(value)}; take its mean, or unit 'items'"
        )
    number = float(value)
    if not np.isfinite(number):
        raise ClaimError(f"{where} gives {number}: a run that diverged cannot be averaged")
    return number


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Half an error message: `arm 'ropee'; nearest: rope`."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"{what} {name!r}; " + (f"nearest: {', '.join(near)}" if near else f"known: {', '.join(known) or 'none'}")
