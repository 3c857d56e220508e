"""What a terminal shows of an `Outcome`: verdicts, arms, a sample, and where the report lies.

Reads well at 80 columns, and in a pipe, where rich leaves the colours out.
"""

from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from allyouneed.lab.judging.claims import ELSEWHERE, Judgement, luck_note
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.reports import summary

_SAMPLE_LINES = 14
_MOST_COLUMNS = 4  # arms side by side on 80 columns


def show(outcome: Outcome, report: Path, console: Console) -> None:
    """Print everything about a finished run."""
    parts: list[RenderableType] = [claims_table(outcome)]
    parts += [arms_table(trial, m) for trial, m in outcome.measurements.items() if m.seeds]
    parts += [_warning(text) for text in warnings(outcome)]
    if outcome.sample is not None:
        parts.append(sample_panel(*outcome.sample))
    parts.append(_closing(outcome))
    console.print(Group(*(Padding(part, (1, 0, 0, 0)) for part in parts)))
    # A path that is folded or cut cannot be copied.
    console.print(Text.assemble(("report  ", "dim"), (str(report), "bold")), soft_wrap=True)


def claims_table(outcome: Outcome) -> Table:
    """A row a claim: what it says, the paper's figure, ours with its interval, the verdict."""
    table = _table(Text(summary.headline(outcome), style="bold"), leading=1, expand=True)
    table.add_column("", no_wrap=True, style="bold")
    table.add_column("claim", ratio=5)
    table.add_column("the paper", ratio=3, style="dim", overflow="fold")
    table.add_column("here", no_wrap=True)
    table.add_column(f"at {outcome.scale_name} scale", ratio=3)
    for judgement in outcome.here:
        table.add_row(
            judgement.id, _statement(judgement), Text(judgement.paper), _ours(judgement), verdict_text(judgement)
        )
    return table


def arms_table(trial: str, m: Measurements) -> RenderableType:
    """The mean of every measurement of every arm, with the 95 % interval over seeds.

    A row a measurement and a column an arm; with many arms a row for each pair.
    """
    names, rows = summary.arm_table(m)
    n = max((cell.n for cells in rows.values() for cell in cells.values()), default=0)
    title = Text.assemble((trial, "bold"), f"  mean of {n} with its 95 % interval" if n > 1 else "  one run")
    # Above the table rather than its own title, which would be folded to the table's width.
    return Group(title, _by_measurement(names, rows))


def _by_measurement(names: list[str], rows: dict[str, dict[str, summary.Cell]]) -> Table:
    table = _table()
    table.add_column("")
    if len(rows) <= _MOST_COLUMNS:
        for arm in rows:
            table.add_column(Text(arm), justify="right")
        for name in names:
            table.add_row(Text(name), *(_cell(cells.get(name), "\n") for cells in rows.values()))
        return table
    table.add_column("arm")
    table.add_column("", justify="right")
    for name in names:
        for place, (arm, cells) in enumerate(rows.items()):
            table.add_row(Text("" if place else name), Text(arm), _cell(cells.get(name), " "))
    return table


def sample_panel(label: str, text: str) -> Panel:
    """The first lines of what the best model wrote."""
    lines = text.splitlines()
    shown = "\n".join(lines[:_SAMPLE_LINES]) + ("\n…" if len(lines) > _SAMPLE_LINES else "")
    return Panel(Text(shown), title=Text(label), title_align="left", border_style="dim", box=box.ROUNDED)


def verdict_text(judgement: Judgement) -> Text:
    """The word in its colour, with its reason, and with how many seeds it was first shown if they were fewer."""
    text = Text(judgement.word, style=f"bold {summary.COLOURS[judgement.word]}")
    if judgement.reason:
        text.append(f": {judgement.reason}", style="not bold")
    for note in judgement.evidence.notes if judgement.evidence else ():
        if note.startswith("extended from"):
            text.append(f", {note}", style="not bold")
    return text


def _table(title: Text | None = None, *, leading: int = 0, expand: bool = False) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="none",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        leading=leading,
        expand=expand,
    )


def _statement(judgement: Judgement) -> Text:
    text = Text(judgement.statement)
    if judgement.weaker_form:
        text.append(f"\nweaker form: {judgement.weaker_form}", style="dim")
    if judgement.trend:
        text.append(f"\ntrend: {judgement.trend}")
    return text


def _ours(judgement: Judgement) -> Text:
    evidence = judgement.evidence
    if evidence is None:
        return Text("")
    # The estimate, its interval and what was claimed: a line each.
    lines = [*str(evidence).replace(" [", "\n[").splitlines(), evidence.bar, f"n={evidence.n} {evidence.unit}"]
    return Text(lines[0], style="bold").append("".join(f"\n{line}" for line in lines[1:]), style="not bold dim")


def _cell(cell: summary.Cell | None, between: str) -> Text:
    if cell is None:
        return Text("")
    text = Text(str(cell))
    return text.append(f"{between}{cell.interval}", style="dim") if cell.interval else text


def warnings(outcome: Outcome) -> list[str]:
    """What failed, what the tuning noted, and the run's own notes."""
    failures = [f"failed: {f.trial} · {f.arm} · seed {f.seed}: {f.reason}" for f in outcome.failures]
    tuning = [warning for tuned in outcome.tuned for warning in tuned.warnings]
    return [*failures, *tuning, *outcome.notes]


def _warning(text: str) -> Text:
    return Text(text, style="yellow")


def _closing(outcome: Outcome) -> Table:
    rows = Table.grid(padding=(0, 2))
    if outcome.tuned:
        rows.add_row("tuning", Text(_tuning(outcome)))
    time = f"{outcome.ran} trials run, {outcome.reused} reused, {summary.duration(outcome.minutes)}"
    rows.add_row("trials", Text(time))
    rows.add_row("luck", Text(luck_note(outcome.judgements)))
    if outcome.elsewhere:
        rows.add_row("others", Text(f"{ELSEWHERE}: {', '.join(outcome.elsewhere)}"))
    rows.columns[0].style = "dim"
    return rows


def _tuning(outcome: Outcome) -> str:
    """What each arm took; where from is said once if it is the same for all."""
    many = len({tuned.trial for tuned in outcome.tuned}) > 1
    sources = {tuned.source for tuned in outcome.tuned}
    parts = []
    for tuned in outcome.tuned:
        name = (f"{tuned.trial} · {tuned.arm}" if many else tuned.arm) + (f" at {tuned.size}" if tuned.size else "")
        source = f" ({tuned.source})" if len(sources) > 1 else ""
        parts.append(f"{name} {summary.chosen(tuned.values)}{source}")
    return "; ".join(parts) + (f" ({sources.pop()})" if len(sources) == 1 else "")
