"""What a run looks like while it runs: a live table in a terminal, plain lines in a pipe; for notebooks see there."""

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from allyouneed.lab.study import Study
from allyouneed.lab.trials.executor import Display
from allyouneed.lab.trials.jobs import Job


def make_display(console: Console) -> Display:
    """What can be redrawn in place in a notebook or a terminal, else plain lines."""
    from allyouneed.lab.reports import notebook

    if notebook.is_notebook():
        return notebook.NotebookDisplay()
    return LiveDisplay(console) if console.is_terminal else LineDisplay(console)


class LineDisplay(Display):
    """One line for each finished trial."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.done = 0
        self.total = 0
        self.n_workers = 1
        self.begun: dict[str, float] = {}
        self.seconds: list[float] = []

    def plan(self, study: Study, jobs: list[Job], n_workers: int, scale: Any) -> None:
        self.done, self.total, self.n_workers = 0, len(jobs), n_workers
        self.seconds = []

    def say(self, text: str) -> None:
        self.keep(Text(text))

    def keep(self, text: Text) -> None:
        """Show a text that stays."""
        self.console.print(text)

    def started(self, job: Job) -> None:
        self.begun[job.key] = time.monotonic()

    def progress(self, job: Job, row: dict[str, Any]) -> None:
        return

    def finished(self, job: Job) -> None:
        self._end(job)
        line = f"[{self.done}/{self.total}] {job.label} ({self.seconds[-1]:.0f} s{_left(self.remaining())})"
        self.keep(Text(line))

    def failed(self, job: Job, reason: str, details: str) -> None:
        self._end(job)
        self.tell_failure(job, reason, details)

    def tell_failure(self, job: Job, reason: str, details: str) -> None:
        """Name a failed trial; where its code is at fault, show where."""
        self.keep(Text.assemble(("failed", "bold red"), f" {job.label}: {reason}"))
        if details:
            self.keep(Text(details.rstrip(), style="dim"))

    def close(self) -> None:
        return

    def remaining(self) -> float | None:
        """Seconds that the trials not yet finished should take, once one has been seen."""
        if not self.seconds:
            return None
        mean = sum(self.seconds) / len(self.seconds)
        at_work = sum(time.monotonic() - begun for begun in list(self.begun.values()))
        return max(0.0, (self.total - self.done) * mean - at_work) / self.n_workers

    def _end(self, job: Job) -> None:
        self.done += 1
        self.seconds.append(time.monotonic() - self.begun.pop(job.key, time.monotonic()))


class LiveDisplay(LineDisplay):
    """A bar for the whole, a line for every trial at work, and what is left."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.live: Live | None = None
        self.at_work: dict[str, tuple[Job, dict[str, Any]]] = {}
        self.max_steps: int | None = None

    def plan(self, study: Study, jobs: list[Job], n_workers: int, scale: Any) -> None:
        super().plan(study, jobs, n_workers, scale)
        self.max_steps = getattr(scale, "max_steps", None)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        self.task = self.bar.add_task(study.paper, total=len(jobs))
        self.begin()

    def begin(self) -> None:
        """Start drawing."""
        self.close()
        self.live = Live(get_renderable=self.picture, console=self.console, refresh_per_second=4, transient=True)
        self.live.start()

    def started(self, job: Job) -> None:
        super().started(job)
        self.at_work[job.key] = (job, {})

    def progress(self, job: Job, row: dict[str, Any]) -> None:
        self.at_work[job.key] = (job, row)

    def finished(self, job: Job) -> None:
        self._leave(job)

    def failed(self, job: Job, reason: str, details: str) -> None:
        self._leave(job)
        self.tell_failure(job, reason, details)

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _leave(self, job: Job) -> None:
        self._end(job)
        self.at_work.pop(job.key, None)
        self.bar.update(self.task, completed=self.done)
        if self.done == self.total:
            self.close()

    def picture(self) -> Group:
        """How the run stands."""
        rows = Table.grid(padding=(0, 2))
        for job, row in list(self.at_work.values()):  # a copy: drawn by a thread of its own
            step = row.get("step")
            share = f"{100 * step / self.max_steps:3.0f} %" if step is not None and self.max_steps else ""
            numbers = " ".join(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float))
            rows.add_row(Text("  " + job.label, style="bold"), share, Text(numbers, style="dim"))
        return Group(self.bar, rows, Text(f"  {_left(self.remaining())[2:]}", style="dim"))


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"
