"""Running a study from Python: `allyouneed.run("rope", scale="smoke", seeds=2)`."""

from pathlib import Path
from typing import Any

from rich.console import Console

from allyouneed.lab import report
from allyouneed.lab.display import make_display
from allyouneed.lab.engine import Options, run_study
from allyouneed.lab.outcome import Outcome


def run(reference: str, *, quiet: bool = False, out: str | Path = "runs", **options: Any) -> Outcome:
    """Run a paper's study (or a file's) and write its report; the options are those of `allyouneed run`.

    The result holds `.judgements`, `.measurements` and `.folder`, and shows itself in a notebook.
    Raises UserError for options that fit nothing.
    """
    display = None if quiet else make_display(Console())
    outcome = run_study(Options(reference, out=Path(out), **options), display)
    report.write(outcome)
    return outcome
