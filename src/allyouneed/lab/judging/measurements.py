"""`m`: what claims, gates and figures read the finished trials of a study through.

The reading is here, with gates and figures; what a claim can say of it is in `comparisons`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from allyouneed.lab.judging.choice import Choice
from allyouneed.lab.judging.comparisons import Comparisons
from allyouneed.lab.judging.effects import Effect
from allyouneed.lab.judging.evidence import UNITS, ClaimError, GateResult, TrialFailed
from allyouneed.lab.judging.units import Absent, Reads, Unit, measurement, one_number, unknown
from allyouneed.lab.trials.result import TrialResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from allyouneed.lab.outcome import Failure


class Measurements(Comparisons):
    """The measurements of one trial function, by arm and seed; `of(name)` gives another's.

    `results` may hold those of several trial functions; `trial` names the one that is read (default:
    the first). `arms` lists the arms in the order to show them, also those without a result;
    `failures` the trials that failed. `data` and `scale` are the run's, for gates and figures. `reads` collects
    the (trial, arm) that was looked at, by the names they were run under, here and in every view.
    """

    def __init__(
        self,
        results: Iterable[TrialResult],
        *,
        trial: str | None = None,
        arms: Sequence[str] = (),
        failures: Sequence["Failure"] = (),
        fixed: Mapping[str, str] | None = None,
        best: Choice | None = None,
        data: Any = None,
        scale: Any = None,
        level: float = 0.95,
        reads: set[tuple[str, str]] | None = None,
    ) -> None:
        self._results = tuple(results)
        self.reads = set() if reads is None else reads
        self.trial = trial if trial is not None or not self._results else self._results[0].trial
        self.data = data
        self.scale = scale
        self.level = level
        self._declared = tuple(arms)
        self._failures = tuple(failures)
        self._fixed = dict(fixed or {})
        self._best = best
        of_trial = [r for r in self._results if r.trial == self.trial]
        self._mine = mine = [r for r in of_trial if self._fixed.items() <= r.factors.items()]
        mine.sort(key=lambda r: self._declared.index(r.arm) if r.arm in self._declared else len(self._declared))
        renamed = bool(self._fixed or best)
        self._by_arm: dict[str, dict[int, TrialResult]] = {} if renamed else {arm: {} for arm in arms}
        for result in best.among(mine) if best else mine:
            seeds = self._by_arm.setdefault(self._name(result), {})
            if result.seed in seeds:
                raise ValueError(f"{result.trial}: two results of {result.arm}, seed {result.seed}")
            seeds[result.seed] = result
        failed = [f for f in self._failures if f.trial == self.trial]
        names = {result.arm: self._name(result) for result in mine}
        self._run_as: dict[str, set[str]] = {}
        for run, shown in names.items():
            self._run_as.setdefault(shown, set()).add(run)
        self._failed = {(names.get(f.arm, f.arm), f.seed): f for f in failed}
        self._lost = {f.arm for f in failed} - {result.arm for result in of_trial}

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """All results, of whichever trial."""
        self.reads.update((result.trial, result.arm) for result in self._results)
        return self._results

    @property
    def arms(self) -> list[str]:
        """The arms, in the order the study declares them."""
        return list(self._by_arm)

    @property
    def seeds(self) -> list[int]:
        """Every seed that some arm was run with."""
        return sorted({seed for by_seed in self._by_arm.values() for seed in by_seed})

    def of(self, trial: str) -> "Measurements":
        """The measurements of another trial function of the study. Raises ClaimError if it has no results."""
        known = {result.trial for result in self._results}
        if trial not in known:
            raise ClaimError(f"no results of {unknown('trial', trial, known)}")
        return self._with(trial=trial, arms=self._declared if trial == self.trial else ())

    def where(self, **factors: Any) -> "Measurements":
        """Of a grid, the arms with these factors; if one factor is left, its values name the arms.

        Raises ClaimError for an unknown factor or value.
        """
        for factor, value in factors.items():
            values = self.factor(factor)
            if str(value) not in values:
                raise ClaimError(f"factor {factor!r} has no {unknown('value', str(value), values)}")
        return self._with(fixed=self._fixed | {factor: str(value) for factor, value in factors.items()})

    def best(self, factor: str, on: str) -> "Measurements":
        """Of a grid, the arms without `factor`: with each seed, the run whose value of it has the least `on`.

        The choice looks at `on`, so judge by another measurement. A seed that not every value was run with is
        left out. Raises ClaimError for an unknown factor.
        """
        self.factor(factor)  # known?
        return self._with(best=Choice(factor, on))

    def factor(self, name: str) -> list[str]:
        """The values of a grid's factor, in the order the study declares them. Raises ClaimError if unknown."""
        values = list(dict.fromkeys(result.factors[name] for result in self._mine if name in result.factors))
        if not values:
            raise ClaimError(f"no {unknown('factor', name, {factor for r in self._mine for factor in r.factors})}")
        return values

    def judged(self, level: float, failures: Sequence["Failure"] = ()) -> "Measurements":
        """The same measurements at another confidence level, with what failed; nothing of them is read yet."""
        return self._with(level=level, failures=(*self._failures, *failures), reads=set())

    def values(self, name: str, arm: str) -> Float[np.ndarray, " seeds"] | Float[np.ndarray, "seeds items"]:
        """A measurement of one arm over its seeds. Raises ClaimError for unknown names or ragged vectors."""
        measured = [measurement(self._by_seed(arm)[seed], name) for seed in sorted(self._by_seed(arm))]
        if len({np.shape(value) for value in measured}) > 1:
            raise ClaimError(f"{name!r} of {arm} has vectors of different lengths")
        return np.asarray(measured, dtype=float)

    def shown(self, label: str, arm: str) -> str:
        """A text that the first run of an arm chose to show. Raises ClaimError if there is none."""
        by_seed = self._by_seed(arm)
        texts = [by_seed[seed].shown for seed in sorted(by_seed)]
        if not texts or label not in texts[0]:
            raise ClaimError(f"{arm} has no {unknown('text', label, texts[0] if texts else ())}")
        return texts[0][label]

    def curve(
        self, name: str, arm: str, **texts: str
    ) -> tuple[Int[np.ndarray, " steps"], Float[np.ndarray, "seeds steps"]]:
        """What one arm logged under a name: the steps that all its seeds share, and a row a seed.

        `texts` picks rows by what else they say: `m.curve("loss", "lora", phase="finetune")`.
        Without a run both are empty. Raises ClaimError if nothing was logged, or no step is shared.
        """
        by_seed = self._by_seed(arm)
        logs = [
            {
                row["step"]: row[name]
                for row in by_seed[seed].log
                if {"step", name} <= row.keys() and texts.items() <= row.items()
            }
            for seed in sorted(by_seed)
        ]
        steps = sorted(set.intersection(*map(set, logs))) if logs else []
        if logs and not steps:
            logged = {key for result in by_seed.values() for row in result.log for key in row}
            raise ClaimError(f"{arm} logged no step with {unknown('name', name, sorted(logged))}")
        values = np.array([[log[step] for step in steps] for log in logs], dtype=float)
        return np.array(steps, dtype=int), values.reshape(len(logs), len(steps))

    def effect(self, f: Callable[[Unit], Any], unit: str = "seeds", label: str = "") -> Effect:
        """One number a unit, to be judged by `.above(bar)`, `.below(bar)`, `.within(margin)` or `.between(...)`.

        `f` maps one unit `u` to a number. Units: "seeds": `u[arm][name]` is that arm's measurement with
        one seed (vectors are arrays), paired over the seeds that every arm read was run with. "items"
        and "rounds": the one seed's number for one item or round. "items x seeds": the same with
        several seeds, both drawn at random. "exact": as "seeds", but every number (or every element,
        where `f` gives an array) is a draw that must itself meet the bar.
        Raises ClaimError for names that do not exist and for what no statistics can rescue.
        """
        if unit not in UNITS:
            raise ClaimError(f"no {unknown('unit', unit, UNITS)}")
        reads, notes = Reads(), []
        seeds, rows = [], []
        for seed in sorted({*self.seeds, *(seed for _, seed in self._failed)}):
            try:
                rows.append(self._numbers(f, unit, seed, reads))
                seeds.append(seed)
            except Absent as absent:
                if seed in self.seeds:
                    notes.append(f"seed {seed} left out: {absent} was not run with it")
        for (arm, seed), failure in self._failed.items():
            # Of an arm without any run it is not known which choice it should have been part of.
            if arm in reads.arms or (self._best and arm in self._lost):
                raise TrialFailed(f"{arm}, seed {seed} failed: {failure.reason}")
        if unit in ("items", "rounds") and len(rows) != 1:
            raise ClaimError(f"unit {unit!r} needs exactly one seed, got {len(rows)}; for several: 'items x seeds'")
        if len({len(row) for row in rows}) > 1 and unit != "exact":
            raise ClaimError("the seeds have vectors of different lengths")
        values = np.stack(rows) if unit == "items x seeds" else np.concatenate([np.empty(0), *rows])
        uses = {**reads.uses, **self._chosen_by(reads.arms)}
        notes += self._on_edge(reads.arms, seeds)
        return Effect(values, unit, self.level, label, tuple(seeds), tuple(uses), tuple(notes))

    def below(self, name: str, bar: float, arms: Sequence[str] | None = None) -> GateResult:
        """For a gate: every run of every arm (or of `arms`) has less than `bar`; of a vector, its mean has."""
        return self._gate(name, bar, -1, arms)

    def above(self, name: str, bar: float, arms: Sequence[str] | None = None) -> GateResult:
        """For a gate: every run of every arm (or of `arms`) has more than `bar`; of a vector, its mean has."""
        return self._gate(name, bar, 1, arms)

    def curves(self, name: str, **how: Any) -> "Figure":
        """A figure of what was logged under `name`, a line an arm; see `figures.curves`."""
        from allyouneed.lab.reports import figures

        return figures.curves(self, name, **how)

    def lines(self, names: Sequence[str] | str, **how: Any) -> "Figure":
        """A figure of several measurements along an axis, a line an arm; see `figures.lines`."""
        from allyouneed.lab.reports import figures

        return figures.lines(self, names, **how)

    def bars(self, name: str, **how: Any) -> "Figure":
        """A figure of one measurement, its mean and its runs for each arm; see `figures.bars`."""
        from allyouneed.lab.reports import figures

        return figures.bars(self, name, **how)

    def heatmap(self, name: str, **how: Any) -> "Figure":
        """A figure of one measurement over the factors of a grid; see `figures.heatmap`."""
        from allyouneed.lab.reports import figures

        return figures.heatmap(self, name, **how)

    def matrix(self, values: Sequence[Sequence[float]], **how: Any) -> "Figure":
        """A figure of a table that a run has kept, such as attention; see `figures.matrix`."""
        from allyouneed.lab.reports import figures

        return figures.matrix(np.asarray(values, dtype=float), **how)

    def _gate(self, name: str, bar: float, sign: int, arms: Sequence[str] | None) -> GateResult:
        runs = {arm: self.values(name, arm) for arm in arms or self.arms}
        values = {arm: [float(np.mean(run)) for run in of_arm] for arm, of_arm in runs.items()}
        # A run that is not a number is on no side of the bar.
        failed = [arm for arm, of_arm in values.items() if not all(sign * value > sign * bar for value in of_arm)]
        worst = min(
            ((value, arm) for arm in values for value in values[arm]), key=lambda run: sign * run[0], default=None
        )
        said = f"{name} {'above' if sign > 0 else 'below'} {bar:.4g}"
        return GateResult(said, failed, values, worst, self.trial or "", {arm: self._runs(arm) for arm in failed})

    def _numbers(self, f: Callable[[Unit], Any], unit: str, seed: int, reads: Reads) -> Float[np.ndarray, " units"]:
        """What `f` makes of one seed: one number, one for each item, or any number of draws."""
        arms = tuple(self.arms)
        if unit == "exact":
            return np.ravel(np.asarray(f(Unit(arms, self._find, seed, reads)), dtype=float))
        if unit == "seeds":
            return np.array([one_number(f(Unit(arms, self._find, seed, reads)), f"seed {seed}")])
        here = Reads(reads.arms)
        numbers = [one_number(f(Unit(arms, self._find, seed, here, 0)), f"item 0 of seed {seed}")]
        length = here.length()
        if length is None:
            raise ClaimError(f"unit {unit!r} needs measurements that are vectors, one number for each")
        for item in range(1, length):
            numbers.append(one_number(f(Unit(arms, self._find, seed, here, item)), f"item {item} of seed {seed}"))
        here.length()
        reads.uses |= here.uses
        return np.array(numbers)

    def _find(self, arm: str, seed: int) -> TrialResult:
        """One run. Raises Absent if there is no result, ClaimError for an unknown arm."""
        by_seed = self._by_seed(arm)
        if seed not in by_seed:
            raise Absent(arm)
        return by_seed[seed]

    def _by_seed(self, arm: str) -> dict[int, TrialResult]:
        if arm not in self._by_arm:
            failed = sorted({f.arm for f in self._failures if f.trial == self.trial} - {*self.arms})
            raise ClaimError(
                f"no {unknown('arm', arm, self.arms)}" + (f"; failed: {'; '.join(failed)}" if failed else "")
            )
        self.reads.update((self.trial or "", run) for run in self._runs(arm))
        return self._by_arm[arm]

    def _runs(self, arm: str) -> list[str]:
        """The arms that a shown name stands for, by the names they were run under."""
        return sorted(self._run_as.get(arm, [arm]))

    def _name(self, result: TrialResult) -> str:
        chosen = self._best.factor if self._best else None
        shown = {factor: value for factor, value in result.factors.items() if factor != chosen}
        left = [value for factor, value in shown.items() if factor not in self._fixed]
        if (self._fixed or chosen) and len(left) == 1:
            return left[0]
        return ", ".join(f"{factor}={value}" for factor, value in shown.items()) if chosen else result.arm

    def _chosen_by(self, arms: set[str]) -> dict[tuple[str, str], None]:
        """What the choice of these arms' runs has read."""
        if self._best is None:
            return {}
        return {(r.arm, self._best.on): None for r in self._mine if self._name(r) in arms}

    def _on_edge(self, arms: set[str], seeds: Sequence[int]) -> list[str]:
        """Where the choice of these arms' runs ended on the edge of its grid."""
        if self._best is None:
            return []
        values, read = self.factor(self._best.factor), [arm for arm in self.arms if arm in arms]
        chosen = {arm: [run for seed, run in self._by_arm[arm].items() if seed in seeds] for arm in read}
        said = (self._best.on_edge(runs, values, arm) for arm, runs in chosen.items())
        return [note for note in said if note]

    def _with(self, **changes: Any) -> "Measurements":
        same = {
            "trial": self.trial,
            "arms": self._declared,
            "failures": self._failures,
            "fixed": self._fixed,
            "best": self._best,
            "data": self.data,
            "scale": self.scale,
            "level": self.level,
            "reads": self.reads,
        }
        return Measurements(self._results, **same | changes)
