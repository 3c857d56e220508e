"""Running a study from Python: `allyouneed.run("rope", scale="smoke", seeds=2)`."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from allyouneed.lab.engine import run_study
from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.options import Options
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.reports import report
from allyouneed.lab.reports.display import make_display

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Report:
    """A finished run; in a notebook it shows its page. `path` is that page, `outcome` all there is."""

    outcome: Outcome
    path: Path

    @property
    def claims(self) -> dict[str, Judgement]:
        """The verdicts by claim."""
        return {judgement.id: judgement for judgement in self.outcome.judgements}

    @property
    def measurements(self) -> dict[str, Measurements]:
        """What was measured, by trial function."""
        return self.outcome.measurements

    @property
    def figure(self) -> "Figure | None":
        """The study's first figure, drawn anew; None if it has none, or its first trial was not run."""
        study = self.outcome.study
        m = self.outcome.measurements.get(next(iter(study.trials)))
        draw = next(iter(study.figures.values()), None)
        return draw(m) if draw and m else None

    def __repr__(self) -> str:
        verdicts = "\n".join(f"{id}  {judgement.verdict}" for id, judgement in self.claims.items())
        return f"{self.outcome.study.paper} at {self.outcome.scale_name} scale\n{verdicts}\n{self.path}"

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:48rem;border:0"></iframe>'


def run(reference: str | Path, *, quiet: bool = False, out: str | Path = "runs", **options: Any) -> Report:
    """Run a paper's study (or a file's), judge its claims and write its report.

    The options are the fields of `lab.engine.Options`, those of `allyouneed run`: scale, seeds, claims,
    data, device, jobs, ... With `quiet` nothing is shown meanwhile.
    Raises UserError for options that fit nothing, and TypeError for one that does not exist.
    """
    if isinstance(options.get("claims"), str):
        options["claims"] = (options["claims"],)
    display = None if quiet else make_display(Console())
    outcome = run_study(Options(str(reference), out=Path(out), **options), display)
    return Report(outcome, report.write(outcome))
