"""Worker processes: jobs in, events out; a worker that hangs or dies costs one job, not the run."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, Queue
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.trials.jobs import Job

GRACE_SECONDS = 10.0  # For a stopped worker to write its checkpoint.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Watcher:
    """Who is told how the jobs fare; this one does nothing with it."""

    def started(self, job: Job) -> None:
        """A worker has begun with it."""

    def progress(self, job: Job, row: dict[str, Any]) -> None:
        """It logged something."""

    def finished(self, job: Job) -> None:
        """Its result is stored."""

    def failed(self, job: Job, reason: str, details: str) -> None:
        """It ended without one; `details` is a traceback, if there is one."""

    def waiting(self) -> None:
        """Called a few times a second as long as jobs run."""


class Worker:
    """One worker process, and the job it is at."""

    def __init__(self, events: "Queue[tuple[Worker, dict[str, Any]]]", threads: bool) -> None:
        self.job: Job | None = None
        self.heard = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "allyouneed.lab.trials.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A file of the current folder named like a module must not stand in for it.
            env=os.environ | {"PYTHONSAFEPATH": "1"} | ({} if threads else ONE_THREAD),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then stops the workers.
        )
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def give(self, job: Job, kind: str) -> None:
        """Send a job."""
        assert self.process.stdin is not None
        self.job = job
        self.heard = time.monotonic()
        with suppress(BrokenPipeError):  # It died idle: that is heard next, and this job fails by it.
            self.process.stdin.write(json.dumps({"kind": kind, "job": job.to_json()}) + "\n")
            self.process.stdin.flush()

    def stop(self, grace: float = 0.0) -> None:
        """End the process: at once, or after it had `grace` seconds to end by itself."""
        if grace:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        self.process.kill()
        self.process.wait()

    def _listen(self, events: "Queue[tuple[Worker, dict[str, Any]]]") -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            events.put((self, json.loads(line)))
        events.put((self, {"event": "died"}))


def run_jobs(
    jobs: Iterable[Job], n_workers: int, watcher: Watcher, kind: str = "trial", threads: bool = False
) -> dict[str, str]:
    """Run jobs on `n_workers` processes; return the reasons of those that failed, by key.

    With `threads`, workers keep the machine's default number of threads (timings), else they have one.

    Raises UserError if a failure would meet every other job too (a full disk), and lets
    KeyboardInterrupt through after the workers have written their checkpoints.
    """
    waiting = list(reversed(list(jobs)))
    events: Queue[tuple[Worker, dict[str, Any]]] = Queue()
    workers: list[Worker] = []
    failures: dict[str, str] = {}

    def fail(worker: Worker, reason: str, details: str = "") -> None:
        assert worker.job is not None
        failures[worker.job.key] = reason
        watcher.failed(worker.job, reason, details)
        worker.job = None

    try:
        while waiting or any(worker.job for worker in workers):
            workers = [worker for worker in workers if worker.job or worker.process.poll() is None]
            while waiting and len(workers) < n_workers:
                workers.append(Worker(events, threads))
            for worker in workers:
                if waiting and worker.job is None:
                    job = waiting.pop()
                    worker.give(job, kind)
                    watcher.started(job)
            _hear(events, watcher, fail)
            watcher.waiting()
            for worker in workers:
                if worker.job and time.monotonic() - worker.heard > worker.job.patience:
                    worker.stop()
                    fail(worker, f"logged nothing for {worker.job.patience:g} seconds and was stopped")
        return failures
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.send_signal(signal.SIGINT)  # As Ctrl-C does, so that `fit` leaves a checkpoint.
        for worker in workers:
            worker.stop(GRACE_SECONDS)
        raise
    finally:
        for worker in workers:
            worker.stop()


def _hear(events: "Queue[tuple[Worker, dict[str, Any]]]", watcher: Watcher, fail: Callable[..., None]) -> None:
    """Wait a moment for an event and deal with it."""
    try:
        worker, event = events.get(timeout=0.2)
    except Empty:
        return
    worker.heard = time.monotonic()
    if worker.job is None:
        return
    match event["event"]:
        case "log":
            watcher.progress(worker.job, event["row"])
        case "done":
            watcher.finished(worker.job)
            worker.job = None
        case "died":
            code = worker.process.wait()
            fail(worker, f"its process ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}")
        case "failed":
            if event["fatal"]:
                raise UserError(event["reason"])
            fail(worker, event["reason"], event.get("details", ""))
