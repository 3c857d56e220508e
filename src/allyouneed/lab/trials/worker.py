"""Running jobs: in this process, or as a worker that reads jobs from a pipe (`python -m`).

A worker is a fresh interpreter with one thread, so that trials neither share state nor fight for
cores. It speaks in lines of JSON; what a trial prints goes to the standard error stream.
"""

import errno
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Queue
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab import scales as sizes
from allyouneed.lab.study import Study
from allyouneed.lab.trials.jobs import Job, open_study
from allyouneed.lab.trials.locks import held
from allyouneed.lab.trials.result import TrialResult
from allyouneed.lab.trials.run import Run
from allyouneed.lab.trials.store import TrialStore

Listener = Callable[[dict[str, Any]], None]
LOG_SECONDS = 0.2  # A fast trial would otherwise drown the parent in lines.


def execute(job: Job, study: Study, listener: Listener) -> None:
    """Run one job and store its measurements, unless another process that runs it now is first."""
    store = TrialStore(Path(job.setting.out) / "trials")
    with held(store.root / ".locks" / f"{job.key}.lock", while_waiting=lambda: listener({})):
        if store.load(job.key) is None:
            _run_trial(job, study, store, listener)


def _run_trial(job: Job, study: Study, store: TrialStore, listener: Listener) -> None:
    run = make_run(job, study, store, listener)
    scale = job.setting.scale_of(study)
    trial = study.trials[job.trial]
    seed_everything(job.seed)
    # Of one thread, processor time is what the trial would take alone, however busy the machine is now.
    clock = time.perf_counter if job.setting.device == "cuda" else time.process_time
    start = clock()
    measured = trial.function(arm=trial.arms[job.arm].value, seed=job.seed, scale=scale, run=run, **job.tuned)
    store.save(
        job.key,
        job.spec,
        TrialResult(
            trial=job.trial,
            arm=job.arm,
            seed=job.seed,
            measurements=plain_measurements(measured),
            log=run.rows,
            shown=run.shown,
            seconds=clock() - start,
            factors=trial.arms[job.arm].factors,
        ),
    )


def make_run(job: Job, study: Study, store: TrialStore, listener: Listener) -> Run:
    """The `run` that a job's trial function receives."""
    shared = study.trials[job.trial].shared_artifacts
    return Run(
        dir=store.work_dir(job.key),
        seed=job.seed,
        device=job.setting.device,
        data=open_data(job.setting.data, study),
        artifacts=Path(job.setting.out) / "artifacts",
        artifact_seed=job.setting.first_seed if shared else None,
        inputs=job.setting.inputs,
        listener=listener,
    )


def open_data(name: str | None, study: Study) -> Any:
    """The data of that name, or None.

    They are of the kind that the study reads. A name for which it has a scale of its own may be of another.
    """
    if name is None:
        return None
    from allyouneed.data import kind_of, open_data

    own = study.kind or kind_of(study.data or name)
    return open_data(name, kind_of(name) if sizes.names(study.scales, name) else own)


def seed_everything(seed: int) -> None:
    """Seed the generators that trials draw from; torch and numpy only where they are in use."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def plain_measurements(measured: Any) -> dict[str, float | list[float]]:
    """A trial's result as floats and lists of floats.

    Raises TypeError for anything that is not a mapping from names to numbers or vectors.
    """
    if not isinstance(measured, Mapping) or not measured:
        raise TypeError(f"a trial returns a mapping from names to numbers or vectors, got {measured!r:.200}")
    return {str(name): _plain(name, value) for name, value in measured.items()}


def _plain(name: str, value: Any) -> float | list[float]:
    value = value.tolist() if hasattr(value, "tolist") else value
    try:
        return [float(x) for x in value] if isinstance(value, list | tuple) else float(value)
    except (TypeError, ValueError):
        raise TypeError(f"measurement {name!r} must be a number or a vector of numbers, got {value!r:.200}") from None


def attempt(job: Job, study_of: Callable[[Job], Study], send: Listener, execute: Callable[..., None]) -> None:
    """Execute a job and send how it ended: `done`, or `failed` with a reason."""
    last = [0.0]

    def listener(row: dict[str, Any]) -> None:
        if time.monotonic() - last[0] >= LOG_SECONDS:
            last[0] = time.monotonic()
            send({"event": "log", "row": row})

    try:
        execute(job, study_of(job), listener)
        send({"event": "done"})
    except UserError as error:
        # A disk that is full stops every trial; a loss that diverged is this one's own affair.
        send({"event": "failed", "reason": str(error), "fatal": isinstance(error.__cause__, OSError)})
    except Exception as error:
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        reason = f"{type(error).__name__}: {error}"
        send({"event": "failed", "reason": reason, "details": traceback.format_exc(), "fatal": full})


def main() -> None:
    """The worker's loop: a job a line on standard input, events as lines on standard output."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    jobs: Queue[str] = Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A job in a shell's background would ignore it.
    warnings.filterwarnings("ignore", message="the text of ")  # The parent has said it once for all.
    studies: dict[tuple[str, str], Study] = {}

    def study_of(job: Job) -> Study:
        name = (job.setting.reference, json.dumps(job.setting.arms))
        if name not in studies:
            studies[name] = open_study(job.setting.reference, job.setting.arms)
            _one_thread()
        return studies[name]

    def send(event: dict[str, Any]) -> None:
        pipe.write(json.dumps(event, default=str) + "\n")

    kinds: dict[str, Callable[..., None]] = {"trial": execute}
    while True:
        message = json.loads(jobs.get())
        if message["kind"] != "trial":
            from allyouneed.lab.trials import timing

            kinds |= {"time": timing.execute, "memory": timing.execute_memory}
        attempt(Job.from_json(message["job"]), study_of, send, kinds[message["kind"]])


def _listen(jobs: "Queue[str]") -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)  # The parent is gone.


def _one_thread() -> None:
    if "torch" in sys.modules and os.environ.get("OMP_NUM_THREADS") == "1":
        sys.modules["torch"].set_num_threads(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
