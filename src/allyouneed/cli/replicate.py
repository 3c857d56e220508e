"""`allyouneed replicate`: whether the recorded verdicts stand on new seeds."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from allyouneed.cli import options as shared
from allyouneed.cli.printing import console, print_json

if TYPE_CHECKING:
    from allyouneed.lab.judging.evidence import Evidence
    from allyouneed.lab.judging.replication import Comparison
    from allyouneed.lab.options import Options
    from allyouneed.lab.replication import Replication

_STYLES = {"stands": "bold green", "does not stand": "bold red", "not comparable": "bold yellow"}


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        epilog="Examples: allyouneed replicate rope · allyouneed replicate rope --budget 2h --record · "
        "allyouneed replicate ./my_study.py --scale smoke"
    )(replicate)


def replicate(
    study: shared.StudyName,
    scale: shared.Scale = "laptop",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many new seeds; as many as the record has if left out.")
    ] = None,
    budget: shared.Budget = None,
    claims: shared.Claims = "",
    data: shared.Data = None,
    device: shared.Device = "auto",
    jobs: shared.Jobs = None,
    out: shared.Out = Path("runs"),
    record: Annotated[bool, typer.Option("--record", help="Keep the outcome beside the record in results/.")] = False,
    json: shared.Json = False,
) -> None:
    """Run a recorded study with seeds that its record did not use, and say whether its verdicts stand.

    Tuning, and what all seeds share, is made anew. Finished trials are kept, so after Ctrl-C the same command
    goes on from there. Exit code: 0 if every verdict that was recorded stands, else 1.
    """
    if record and claims:
        raise typer.BadParameter(
            "a recorded replication is of the whole study: leave out --claims", param_hint="--record"
        )

    from allyouneed.lab import replication
    from allyouneed.lab.engine import Interrupted
    from allyouneed.lab.options import Options
    from allyouneed.lab.reports.display import make_display

    options = Options(
        reference=study,
        scale=scale,
        seeds=seeds,
        budget=budget,
        claims=shared.claim_ids(claims),
        data=data,
        device=device,
        jobs=jobs,
        out=out,
    )
    try:
        found = replication.replicate(options, make_display(console(to_stderr=json)))
    except Interrupted as stop:
        print(f"allyouneed: {stop}", file=sys.stderr)
        raise typer.Exit(shared.STOPPED) from None
    _finish(found, options, record=record, as_json=json)


def _finish(found: "Replication", options: "Options", *, record: bool, as_json: bool) -> None:
    from allyouneed.lab.reports import replications, report

    page = report.write(found.outcome, _command(found, options))
    kept = None
    if record and not found.outcome.failures:
        kept = replications.write(found.record, found.status, found.outcome, found.comparisons)
    if as_json:
        values = replications.to_dict(found.record, found.status, found.outcome, found.comparisons)
        print_json({"report": str(page), "record": str(kept) if kept else None, **values})
    else:
        _show(found, page)
    if kept:
        console(to_stderr=as_json).print(f"recorded in {kept}", markup=False, soft_wrap=True)
    if record and not kept:
        print("allyouneed: nothing was recorded, because trials failed", file=sys.stderr)
    if not found.stands or found.outcome.failures:
        raise typer.Exit(1)


def _command(found: "Replication", options: "Options") -> str:
    """The command that repeats it, as long as no replication has been recorded since."""
    parts = ["allyouneed", "replicate", options.reference, "--scale", options.scale]
    parts += ["--seeds", str(len(found.outcome.seeds)), "--device", found.outcome.device]
    for option, value in (("--claims", ",".join(options.claims)), ("--data", options.data)):
        parts += [option, value] if value else []
    return shlex.join(parts)


def _show(found: "Replication", page: Path) -> None:
    from allyouneed.lab.reports import summary, terminal

    out = console()
    record, outcome = found.record, found.outcome
    out.print()
    title = f"{record.paper} {record.where}, recorded {record.values['recorded']} with seeds "
    title += f"{summary.seed_list(record.values['seeds'])}, and now with {summary.seed_list(outcome.seeds)}"
    out.print(Text(title, style="bold"))
    out.print()
    out.print(_table(found.comparisons))
    notes = [] if found.status == "current" else [f"the record is {found.status}"]
    for text in (*notes, *terminal.warnings(outcome)):
        out.print(Text(text, style="yellow"))
    if luck := _luck_note(found.comparisons):
        out.print(Text(f"\n{luck}", style="dim"))
    out.print(Text.assemble(("report  ", "dim"), (str(page), "bold")), soft_wrap=True)


def _table(comparisons: "list[Comparison]") -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, leading=1, expand=True)
    table.add_column("", no_wrap=True, style="bold")
    for heading in ("recorded", "predicted", "new", "all seeds"):
        table.add_column(heading, width=12)  # "contradicted"
    table.add_column("the recorded verdict", ratio=1)
    for c in comparisons:
        predicted = f"[{c.predicted[0]:.3g}, {c.predicted[1]:.3g}]" if c.predicted else ""
        said = Text.assemble((c.outcome, _STYLES[c.outcome]), f": {c.why}")
        old, new = c.recorded.evidence, c.new.evidence
        table.add_row(c.recorded.id, _numbers(old), Text(predicted), _numbers(new), _numbers(c.pooled), said)
    return table


def _numbers(evidence: "Evidence | None") -> Text:
    if evidence is None:
        return Text("")
    return Text(f"{evidence}\nn={evidence.n}\n{evidence.word}")


def _luck_note(comparisons: "list[Comparison]") -> str:
    """How easily chance alone makes a sound verdict fall: each prediction misses one honest mean in twenty."""
    n = sum(c.predicted is not None for c in comparisons)
    if not n:
        return ""
    claims = f"{n} claim{'s' if n > 1 else ''} with a prediction"
    return (
        f"{claims}: were all of them sound, chance alone would put at least one outside in {1 - 0.95**n:.0%} of cases."
    )
