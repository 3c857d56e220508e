"""Running what is missing: jobs whose results the store has are taken from it, the others go to workers."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from allyouneed.lab.outcome import Failure
from allyouneed.lab.study import Study, Trial
from allyouneed.lab.trials.jobs import Job
from allyouneed.lab.trials.plan import Plan
from allyouneed.lab.trials.pool import Watcher, run_jobs
from allyouneed.lab.trials.result import TrialResult
from allyouneed.lab.trials.store import TrialStore


class Display(Watcher):
    """A `Watcher` that is also told of the run as a whole; this one shows nothing."""

    def plan(self, study: Study, jobs: list[Job], n_workers: int, scale: Any) -> None:
        """These jobs are about to run."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def close(self) -> None:
        """Nothing more will come."""


class Executor:
    """The results of one run, found or made. `used` holds them by key, `failures` what could not be had."""

    def __init__(self, plan: Plan, store: TrialStore, n_workers: int, display: Display) -> None:
        self.plan = plan
        self.store = store
        self.n_workers = n_workers
        self.display = display
        self.used: dict[str, TrialResult] = {}
        self.failures: list[Failure] = []
        self.ran = 0
        self.reused = 0

    def run(self, jobs: list[Job], what: str) -> list[TrialResult]:
        """Run the jobs whose results are not stored; return all results there are."""
        missing = self._missing(jobs)
        if jobs:
            self._announce_damage()
            self.display.say(f"{len(jobs)} {what}: {len(jobs) - len(missing)} reused, {len(missing)} to run")
        if missing:
            n_workers = min(self.n_workers, len(missing))
            self._plan(missing, n_workers)
            self._note_failures(missing, run_jobs(missing, n_workers, _Counter(self)))
        return [self.used[job.key] for job in jobs if job.key in self.used]

    def time(self, trial: Trial) -> list[TrialResult]:
        """The exclusive measurements of one trial: seconds by turns in one process, memory in fresh ones."""
        together = self.plan.exclusive(trial)
        per_arm = {arm: self.plan.share(together, arm) for arm in trial.arms}
        missing = self._missing(per_arm.values())
        if missing:
            self.display.say(f"timing {trial.name}: {', '.join(trial.arms)} by turns, nothing beside them")
            self._plan([together], 1)
            reasons = run_jobs([together], 1, _Counter(self), "time", threads=True)
            self._note_failures(missing, {job.key: reasons.get(together.key, "left no result") for job in missing})
        memory = {arm: self.plan.memory(trial, arm) if trial.memory else [] for arm in trial.arms}
        unread = self._missing(job for jobs in memory.values() for job in jobs)
        if unread:
            self._plan(unread, 1)
        for job in unread:
            self._note_failures([job], run_jobs([job], 1, _Counter(self), "memory", threads=True))
        return [
            self._with_memory(self.used[job.key], memory[arm]) for arm, job in per_arm.items() if job.key in self.used
        ]

    def _plan(self, jobs: list[Job], n_workers: int) -> None:
        self.display.plan(self.plan.study, jobs, n_workers, self.plan.scale)

    def _with_memory(self, timed: TrialResult, rounds: list[Job]) -> TrialResult:
        peaks = [self.used[job.key].measurements["peak_bytes"] for job in rounds if job.key in self.used]
        measured = timed.measurements | ({"peak_bytes": peaks} if peaks else {})
        return dataclasses.replace(timed, measurements=measured)  # type: ignore[arg-type]

    def _note_failures(self, jobs: list[Job], reasons: dict[str, str]) -> None:
        for job in jobs:
            if not self._found(job):
                reason = reasons.get(job.key, "left no result")
                self.failures.append(Failure(job.trial, job.arm, job.seed, reason))

    def _missing(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs whose results are not stored; counts the others as reused."""
        jobs = list(jobs)
        missing = [job for job in jobs if not self._found(job)]
        self.reused += len(jobs) - len(missing)
        return missing

    def _found(self, job: Job) -> bool:
        result = self.store.load(job.key)
        if result is not None:
            self.used[job.key] = result
        return result is not None

    def _announce_damage(self) -> None:
        for message in self.store.damaged:
            self.display.say(message)
        self.store.damaged.clear()


class _Counter(Watcher):
    """Passes on to the display, and counts what was run."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def started(self, job: Job) -> None:
        self.executor.display.started(job)

    def progress(self, job: Job, row: dict[str, Any]) -> None:
        self.executor.display.progress(job, row)

    def finished(self, job: Job) -> None:
        self.executor.ran += 1
        self.executor.display.finished(job)

    def failed(self, job: Job, reason: str, details: str) -> None:
        self.executor.display.failed(job, reason, details)

    def waiting(self) -> None:
        self.executor.display.waiting()
