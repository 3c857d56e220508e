"""One run of a study, from a command to an `Outcome`: plan, tune, run what is missing, judge."""

import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allyouneed.data.cache import make_folder
from allyouneed.errors import UserError
from allyouneed.lab.budget import seeds_that_fit
from allyouneed.lab.first_shown import FirstShown
from allyouneed.lab.judging import claims
from allyouneed.lab.judging.measurements import GateResult, Measurements
from allyouneed.lab.options import (
    TUNING_SEED,
    Draw,
    Options,
    check_grid,
    check_inputs,
    check_size,
    chosen_claims,
    n_seeds,
)
from allyouneed.lab.outcome import Failure, Outcome, Tuned
from allyouneed.lab.reports import records
from allyouneed.lab.scales import scale_values, size_axis, size_name, smaller_sizes
from allyouneed.lab.study import Claim, Trial
from allyouneed.lab.trend import tell_trends
from allyouneed.lab.trials.executor import Display, Executor
from allyouneed.lab.trials.jobs import Job, Setting, open_study
from allyouneed.lab.trials.machine import machine
from allyouneed.lab.trials.plan import Digests, Plan, device_type
from allyouneed.lab.trials.result import TrialResult
from allyouneed.lab.trials.store import TrialStore
from allyouneed.lab.trials.tuning import choose, widen
from allyouneed.lab.trials.worker import open_data


class Interrupted(UserError):
    """The user stopped the run; what was finished is kept."""


def run_study(options: Options, display: Display | None = None, draw: Draw | None = None) -> Outcome:
    """Run a study as the options say; trials that were run before are taken from the store.

    Raises UserError for options that fit nothing, and Interrupted on Ctrl-C.
    """
    engine = Engine(options, display or Display(), draw)
    try:
        return engine.run()
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {engine.executor.ran} new trials; all finished trials are kept. "
            "The same command goes on from here."
        ) from None
    finally:
        engine.executor.display.close()


@dataclass(frozen=True)
class Verdicts:
    """What the results at one size say."""

    measurements: dict[str, Measurements]
    gates: dict[str, GateResult]
    judgements: list[claims.Judgement]


class Engine:
    """The state of one run: what was asked, what was found, what failed."""

    def __init__(self, options: Options, display: Display, draw: Draw | None = None) -> None:
        self.options = options
        self.draw = draw or Draw()
        self.study = open_study(options.reference, options.arms)
        self.data_name = options.data or self.study.data
        self.scale = self.study.scale(options.scale, options.overrides, self.data_name)
        self.size = ""
        listed = getattr(self.scale, "claims", ())
        self.claims = chosen_claims(self.study, options.claims, listed, own_data=not (listed and self.other_data))
        self.seeds = self._first(n_seeds(options, self.scale, self.draw))
        self.data = open_data(self.data_name, self.study)
        check_size(self.data)
        check_inputs(self.study, options.inputs)
        self.device = device_type(options.device)
        check_grid(self.study, options.grid)
        setting = Setting(
            options.reference,
            options.scale,
            options.overrides,
            options.arms,
            self.data_name,
            self.device,
            str(options.out.resolve()),
            first_seed=self.draw.first,
            inputs={name: str(Path(path).expanduser().resolve()) for name, path in options.inputs.items()},
        )
        self.plan = Plan(Digests(self.study), setting, self.scale, self.data.version if self.data else None)
        n_workers = options.jobs or (1 if self.device == "cuda" else machine()["cores"])
        store = TrialStore(make_folder(options.out / "trials"))
        self.executor = Executor(self.plan, store, n_workers, display)
        self.tuned: list[Tuned] = []
        self.start = time.monotonic()

    def run(self) -> Outcome:
        """All of it."""
        asked = [claim for claim in self.claims if claim.not_run is None]
        trials = [t for t in self.study.trials.values() if any(t.name in claim.trials for claim in asked)]
        if not trials:
            self.executor.display.say("no claim here reads a trial: there is nothing to run")
        for name in self.options.arms:
            if not any(arm == name or name in a.factors.values() for t in trials for arm, a in t.arms.items()):
                self.executor.display.say(f"--arm {name}: no claim that was asked for reads a trial with such arms")
        if self.options.grid and self.options.scale == "smoke":
            self.executor.display.say("--grid: smoke runs do not search, they take the middle of the study's grid")
        if self.options.budget is not None:
            n, why = seeds_that_fit(self, trials, TUNING_SEED - self.draw.first)
            self.seeds = self._first(n)
            self.executor.display.say(why)
        results = self.run_all([trial for trial in trials if not trial.exclusive])
        for trial in trials:
            if trial.exclusive:
                results += self.executor.time(trial)
        return self._judge(trials, results)

    def run_all(self, trials: list[Trial]) -> list[TrialResult]:
        """The results of every arm with every seed; tuned first where a trial is."""
        tuned = self._tune([trial for trial in trials if trial.tune])
        jobs = [
            self.plan.job(trial, arm, seed, tuned.get((trial.name, arm), {}))
            for trial in trials
            for seed in self.seeds
            for arm in trial.arms
            if (trial.name, arm) in tuned or not trial.tune
        ]
        return self.executor.run(jobs, self._what("trials"))

    def smaller(self, asked: list[Claim]) -> Iterator["Engine"]:
        """This run at each of the scale's smaller sizes, for these claims: the same seeds, tuned for itself."""
        axis = size_axis(self.scale)
        for place, scale in enumerate(smaller_sizes(self.scale)):
            small = copy.copy(self)
            small.claims, small.scale, small.tuned = asked, scale, []
            small.size = f"{'/'.join(axis)} {size_name(scale, axis)}"
            setting = dataclasses.replace(self.plan.setting, smaller=place)
            small.plan = Plan(self.plan.digests, setting, scale, self.plan.data_version)
            yield small

    def _tune(self, trials: list[Trial]) -> dict[tuple[str, str], dict[str, Any]]:
        """The tuned values of every arm: given or searched."""
        given, searches = self.given(trials)
        self.tuned += given
        self._search(searches)
        return {(t.trial, t.arm): t.values for t in self.tuned}

    def given(self, trials: list[Trial]) -> tuple[list[Tuned], list[tuple[Trial, str]]]:
        """What arms take without a search, recorded or at smoke scale the grid's middle; and those that need one."""
        recorded = {} if self.options.retune or self.options.grid else self._recorded()
        given: list[Tuned] = []
        searches: list[tuple[Trial, str]] = []
        for trial in trials:
            assert trial.tune is not None
            for arm in trial.arms:
                if self.options.scale == "smoke":
                    given.append(Tuned(trial.name, arm, trial.tune.middle(), "the middle of the grid"))
                elif recorded.get(trial.name, {}).get(arm) in trial.tune.candidates():
                    given.append(Tuned(trial.name, arm, recorded[trial.name][arm], "recorded"))
                else:
                    searches.append((trial, arm))
        return given, searches

    @property
    def other_data(self) -> str | None:
        """The name of the data unless they are the study's own, as records are found by."""
        return None if self.data_name == self.study.data else self.data_name

    def _recorded(self) -> dict[str, dict[str, dict[str, Any]]]:
        return records.recorded_tuning(self.study.paper, self.options.scale, self.other_data, size=self.size) or {}

    def _first(self, n: int) -> list[int]:
        return list(range(self.draw.first, self.draw.first + n))

    def _what(self, jobs: str) -> str:
        return f"{jobs} at {self.size}" if self.size else jobs

    def _search(self, searches: list[tuple[Trial, str]]) -> None:
        """Try every candidate for every arm; an arm of which none could be trained counts as failed."""
        jobs: dict[tuple[str, str], list[tuple[dict[str, Any], list[Job]]]] = {}
        for trial, arm in searches:
            tune = widen(trial.tune, self.options.grid)
            seeds = range(self.draw.tuning, self.draw.tuning + tune.seeds)
            plan = self._plan_of_tries(trial) if tune.at else self.plan
            jobs[trial.name, arm] = [
                (values, [plan.job(trial, arm, seed, values) for seed in seeds]) for values in tune.candidates()
            ]
        every = [job for tries in jobs.values() for _, some in tries for job in some]
        self.executor.run(every, self._what("tuning trials"))
        failed, self.executor.failures = self.executor.failures, []
        used = self.executor.used
        for (name, arm), tries in jobs.items():
            tune = widen(self.study.trials[name].tune, self.options.grid)
            best = choose(
                tune, name, arm, [(values, [used[j.key] for j in some if j.key in used]) for values, some in tries]
            )
            if best is not None:
                self.tuned.append(best)
            else:
                reason = next(
                    (f.reason for f in failed if (f.trial, f.arm) == (name, arm)), "its losses are not finite"
                )
                reason = f"no value could be trained: {reason}"
                self.executor.failures.append(Failure(name, arm, self.draw.tuning, reason))

    def _plan_of_tries(self, trial: Trial) -> Plan:
        """The plan of this run at the scale that tuning this trial takes."""
        setting = dataclasses.replace(self.plan.setting, tries_of=trial.name)
        return Plan(self.plan.digests, setting, setting.scale_of(self.study), self.plan.data_version)

    def _judge(self, trials: list[Trial], results: list[TrialResult]) -> Outcome:
        digest = {trial.name: self.plan.digests.trial(trial) for trial in trials}
        folder = self._folder({name: d.sha256 for name, d in digest.items()})
        shown = FirstShown(self.options.out, self.plan, {name: d.sha256 for name, d in digest.items()})
        extended = {claim.id: shown.extended_from(claim, len(self.seeds)) for claim in self.claims}
        said = self.verdicts(trials, results, extended)
        judgements, smaller = tell_trends(self, said.judgements, extended)
        shown.note([j.id for j in judgements if j.evidence], len(self.seeds))
        return Outcome(
            study=self.study,
            scale_name=self.options.scale,
            scale=self.scale,
            overrides=self.options.overrides,
            seeds=self.seeds,
            extended_from=min((n for n in extended.values() if n is not None), default=None),
            data=(self.data_name, self.data.version) if self.data_name and self.data else None,
            inputs=self.options.inputs,
            device=self.device,
            judgements=judgements,
            gates=said.gates,
            measurements=said.measurements,
            failures=self.executor.failures,
            tuned=self.tuned,
            sample=_sample(trials, results),
            digests={name: d.sha256 for name, d in digest.items()},
            claim_digests={claim.id: self.plan.digests.claim(claim.id) for claim in self.claims},
            packages={name: version for d in digest.values() for name, version in d.packages.items()},
            machine=machine(),
            ran=self.executor.ran,
            reused=self.executor.reused,
            minutes=(time.monotonic() - self.start) / 60,
            core_minutes=sum(result.seconds for result in self.executor.used.values()) / 60,
            folder=folder,
            notes=[
                f"{trial.name}: all seeds share one copy of each artifact, so its verdicts are given one base"
                for trial in trials
                if trial.shared_artifacts
            ],
            smaller=smaller,
        )

    def verdicts(self, trials: list[Trial], results: list[TrialResult], extended: dict[str, int | None]) -> "Verdicts":
        """What these results say: every claim's judgement behind the gates, at the size that the run is at."""
        m = {
            trial.name: Measurements(
                results,
                trial=trial.name,
                data=self.data,
                scale=self.scale,
                arms=list(self.study.trials[trial.name].arms),
            )
            for trial in trials
        }
        gates, broken = self._gates(m, {result.trial for result in results})
        judgements = [
            claims.judge(
                dataclasses.replace(claim, not_run=broken[claim.id]) if claim.id in broken else claim,
                m.get(claim.trials[0]) if claim.trials else None,
                [(g, gates[g.name]) for g in self.study.gates if g.name in gates and g.trial in claim.trials],
                self.executor.failures,
                extended_from=extended[claim.id],
            )
            for claim in self.claims
        ]
        return Verdicts(m, gates, judgements)

    def _gates(self, m: dict[str, Measurements], ran: set[str]) -> tuple[dict[str, GateResult], dict[str, str]]:
        """What the gates say; and for claims behind a gate that could not be asked, why."""
        gates: dict[str, GateResult] = {}
        broken: dict[str, str] = {}
        for gate in self.study.gates:
            if gate.trial not in ran:
                continue
            try:
                gates[gate.name] = gate.function(m[gate.trial])
            except Exception as error:  # A study's own code: the other claims must not be lost with it.
                reason = f"the gate {gate.name!r} failed: {type(error).__name__}: {error}"
                broken |= {claim.id: reason for claim in self.claims if gate.trial in claim.trials}
        return gates, broken

    def _folder(self, digest: dict[str, str]) -> Path:
        what = [self.options.scale, scale_values(self.scale), self.plan.data_version, self.device]
        what += [self.plan.inputs] if self.plan.inputs else []
        text = json.dumps([what, digest, self.options.arms], sort_keys=True, default=str)
        name = f"{self.study.paper}-{self.options.scale}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if self.draw.first:
            name += f"-from-seed-{self.draw.first}"
        return make_folder(self.options.out / name)


def _sample(trials: list[Trial], results: list[TrialResult]) -> tuple[str, str] | None:
    """What the trial with the least tuning measurement chose to show."""
    for trial in trials:
        showing = [r for r in results if r.trial == trial.name and r.shown]
        if showing:
            on = trial.tune.on if trial.tune else None
            best = min(showing, key=lambda r: r.measurements.get(on, math.inf)) if on else showing[0]
            label, text = next(iter(best.shown.items()))
            return f"{label} ({best.arm}, seed {best.seed})", text
    return None
