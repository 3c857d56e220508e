"""Exclusive trials: time and memory, measured while nothing of the study runs beside them.

The contenders take turns inside one process, so that a machine that slows down slows all of them,
and the round is the unit of the statistics. Memory is read in a fresh process a contender and round.
"""

import gc
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from allyouneed.lab.study import Study
from allyouneed.lab.trials.jobs import Job
from allyouneed.lab.trials.result import TrialResult
from allyouneed.lab.trials.store import TrialStore
from allyouneed.lab.trials.worker import Listener, make_run, seed_everything

PROC = Path("/proc/self")


def execute(job: Job, study: Study, listener: Listener) -> None:
    """Time all contenders of the job's trial round by round, and store one result for each."""
    store = TrialStore(Path(job.setting.out) / "trials")
    trial = study.trials[job.trial]
    on_gpu = job.setting.device == "cuda"
    contenders = {arm: _build(replace(job, arm=arm), study, store, listener) for arm in trial.arms}
    seconds: dict[str, list[float]] = {arm: [] for arm in trial.arms}
    for contender in contenders.values():
        _timed(contender, on_gpu)  # The first call also compiles, allocates and fills caches.
    for number in range(trial.rounds):
        for arm, contender in contenders.items():
            seconds[arm].append(_timed(contender, on_gpu))
        listener({"step": number + 1, **{arm: values[-1] for arm, values in seconds.items()}})
    for arm, values in seconds.items():
        _store(job, arm, {"seconds": values}, store)


def execute_memory(job: Job, study: Study, listener: Listener) -> None:
    """Build and call the job's contender in this fresh process, and store what that took."""
    store = TrialStore(Path(job.setting.out) / "trials")
    on_gpu = job.setting.device == "cuda"
    before = _forget_peak(on_gpu)
    _timed(_build(job, study, store, listener), on_gpu)
    _store(job, job.arm, {"peak_bytes": float(_peak_bytes(on_gpu) - before)}, store)


def key_of(job: Job, arm: str) -> str:
    """The key of one arm's share of a job that measures all arms."""
    return TrialStore.key(job.spec | {"arm": arm})


def _build(job: Job, study: Study, store: TrialStore, listener: Listener) -> Any:
    seed_everything(job.seed)
    scale = job.setting.scale_of(study)
    trial = study.trials[job.trial]
    return trial.function(arm=trial.arms[job.arm].value, scale=scale, run=make_run(job, study, store, listener))


def _timed(contender: Any, on_gpu: bool) -> float:
    gc.collect()
    _wait(on_gpu)
    start = time.perf_counter()
    contender()
    _wait(on_gpu)
    return time.perf_counter() - start


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        sys.modules["torch"].cuda.synchronize()


def _forget_peak(on_gpu: bool) -> int:
    """Start a new measurement of the peak; returns the bytes in use now."""
    if on_gpu:
        sys.modules["torch"].cuda.reset_peak_memory_stats()
    elif PROC.exists():
        (PROC / "clear_refs").write_text("5")
    return _peak_bytes(on_gpu)


def _peak_bytes(on_gpu: bool) -> int:
    if on_gpu:
        return sys.modules["torch"].cuda.max_memory_allocated()
    if PROC.exists():
        # Not getrusage: its peak goes back to before this process was even exec'ed, to its parent's size.
        line = next(line for line in (PROC / "status").read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _store(job: Job, arm: str, measurements: dict[str, Any], store: TrialStore) -> None:
    spec = job.spec | {"arm": arm}
    result = TrialResult(
        trial=job.trial, arm=arm, seed=job.seed, measurements=measurements, log=[], shown={}, seconds=0.0, factors={}
    )
    store.save(store.key(spec), spec, result)
