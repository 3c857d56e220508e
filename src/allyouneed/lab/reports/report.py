"""The report of a run: one self-contained HTML page, and the files beside it.

`write` puts into the run's folder: report.html, measurements.json and .csv, and every figure as PNG,
light and dark. What the page says is worked out here; how it looks is in report.html.jinja.
"""

import base64
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allyouneed.data.cache import atomic_write
from allyouneed.errors import UserError
from allyouneed.lab import papers
from allyouneed.lab.judging.claims import luck_note
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.reports import figures, pages, records, saved, summary
from allyouneed.lab.reports.answer import answer
from allyouneed.lab.reports.interval_plot import interval_plot

FILE = "report.html"


@dataclass(frozen=True)
class DrawnFigure:
    """A figure in both themes, or why there is none."""

    name: str
    caption: str
    light: figures.Drawing | None = None
    dark: figures.Drawing | None = None
    problem: str = ""


def write(outcome: Outcome, command: str | None = None) -> Path:
    """Write everything about a run into its folder; returns the path of the page.

    `command` runs it again (default: worked out from the outcome). Raises UserError on a full disk.
    """
    saved.write(outcome)
    drawn = draw_figures(outcome)
    for figure in drawn:
        for suffix, drawing in (("", figure.light), ("-dark", figure.dark)):
            if drawing is not None:
                atomic_write(outcome.folder / f"{figure.name}{suffix}.png", drawing.png)
    page = outcome.folder / FILE
    atomic_write(page, render(outcome, drawn, command or summary.command(outcome)).encode())
    return page


def render(outcome: Outcome, drawn: list[DrawnFigure], command: str) -> str:
    """The page as HTML."""
    notes = find_notes(outcome)
    return pages.render(
        "report.html.jinja",
        outcome=outcome,
        notes=notes,
        answer=answer(notes, records.read_records()) if notes else "",
        body=pages.markdown(notes.body) if notes else "",
        headline=summary.headline(outcome),
        words=summary.words(outcome),
        meanings=summary.WORDS,
        luck=luck_note(outcome.judgements),
        plots={j.id: interval_plot(j.evidence) if j.evidence else None for j in outcome.judgements},
        gates=_gates(outcome),
        figures=[_embedded(figure) for figure in drawn],
        tables=[_table(trial, m) for trial, m in outcome.measurements.items() if m.seeds],
        provenance=provenance(outcome),
        machine_name=outcome.machine.get("gpu") or outcome.machine.get("cpu") or platform.machine(),
        command=command,
    )


def draw_figures(outcome: Outcome) -> list[DrawnFigure]:
    """Every figure of the study, light and dark."""
    return [_drawn(outcome, name, function) for name, function in outcome.study.figures.items() if outcome.measurements]


def find_notes(outcome: Outcome) -> papers.Notes | None:
    """The notes of the study's paper; a user's own study has none."""
    if summary.reference(outcome.study) != outcome.study.paper:
        return None
    try:
        return papers.find(outcome.study.paper)
    except UserError:
        return None


def provenance(outcome: Outcome) -> dict[str, str]:
    """Data, seeds, machine, versions, time and digests, as rows for people."""
    rows = {
        "Scale": f"{outcome.scale_name} ({summary.chosen(vars(outcome.scale))})",
        "Data": " · ".join([outcome.data[0], outcome.data[1][:16]]) if outcome.data else "made by the study itself",
        "Seeds": summary.seed_list(outcome.seeds),
        "Device": outcome.device,
        "Machine": summary.chosen({name: value for name, value in outcome.machine.items() if value not in (None, "")}),
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(outcome.packages.items())),
        "Trials": f"{outcome.ran} run now, {outcome.reused} reused",
        "Time": f"{summary.duration(outcome.minutes)} now, {summary.duration(outcome.core_minutes)} for all trials",
        "Sources": ", ".join(f"{trial} {digest[:12]}" for trial, digest in outcome.digests.items()),
        "Claims": ", ".join(f"{claim} {digest[:12]}" for claim, digest in outcome.claim_digests.items()),
    }
    if any(trial.shared_artifacts for name, trial in outcome.study.trials.items() if name in outcome.measurements):
        rows["Artifacts"] = "one copy for all seeds: the verdicts are given one base"
    if outcome.extended_from is not None:
        rows["Seeds"] += f" (extended from n={outcome.extended_from})"
    return {name: text for name, text in rows.items() if text}


def _drawn(outcome: Outcome, name: str, function: Any) -> DrawnFigure:
    first = next(iter(outcome.study.trials), "")
    m = outcome.measurements.get(first) or next(iter(outcome.measurements.values()))
    arms = summary.all_arms(outcome.measurements)
    caption = " ".join((function.__doc__ or "").split())
    try:
        light, dark = (figures.draw(function, m, dark=dark, arms=arms) for dark in (False, True))
    except Exception as error:  # A study's own code; a figure that fails must not cost the report.
        return DrawnFigure(name, caption, problem=f"{type(error).__name__}: {error}")
    return DrawnFigure(name, caption, light, dark)


def _embedded(figure: DrawnFigure) -> dict[str, str]:
    sources = {
        theme: "data:image/svg+xml;base64," + base64.b64encode(drawing.svg.encode()).decode() if drawing else ""
        for theme, drawing in (("light", figure.light), ("dark", figure.dark))
    }
    return {"name": figure.name, "caption": figure.caption, "problem": figure.problem} | sources


def _gates(outcome: Outcome) -> list[dict[str, Any]]:
    baselines = {gate.name: gate.baseline for gate in outcome.study.gates}
    return [
        {
            "name": name.replace("_", " "),
            "baseline": baselines.get(name, ""),
            "bar": gate.bar,
            "worst": f"{gate.worst[0]:.4g} ({gate.worst[1]})" if gate.worst else "",
            "failed": gate.failed_arms,
        }
        for name, gate in outcome.gates.items()
    ]


def _table(trial: str, m: Measurements) -> dict[str, Any]:
    names, rows = summary.arm_table(m)
    counts = {arm: max((cell.n for cell in cells.values()), default=0) for arm, cells in rows.items()}
    return {"trial": trial, "names": names, "rows": rows, "counts": counts}
