"""`allyouneed report` and `scoreboard`: what was measured here, and what is on record."""

import re
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from allyouneed.cli.printing import console, print_json
from allyouneed.errors import UserError
from allyouneed.lab import papers
from allyouneed.lab.reports import records, scoreboard


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Examples: allyouneed report rope · allyouneed report rope --scale smoke --render --open")(
        report
    )
    app.command("scoreboard", epilog="Examples: allyouneed scoreboard · allyouneed scoreboard --check")(show_scoreboard)


def report(
    name: Annotated[str, typer.Argument(metavar="SLUG", help="A paper, or the name of a study of yours.")],
    scale: Annotated[str | None, typer.Option(help="Only runs at this scale.")] = None,
    out: Annotated[Path, typer.Option(help="Where the runs are.")] = Path("runs"),
    render: Annotated[bool, typer.Option("--render", help="Draw it anew from the stored measurements.")] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The path as JSON on stdout.")] = False,
) -> None:
    """Print the path of a study's latest report; draw it anew or open it if asked."""
    folder = latest_run(name, out, scale)
    page = folder / "report.html"
    if render or not page.is_file():
        from allyouneed.lab.reports import report as reports
        from allyouneed.lab.reports import saved

        page = reports.write(saved.read(folder))
    if json:
        print_json({"report": str(page)})
    else:
        print(page)
    if browser:
        webbrowser.open(page.resolve().as_uri())


def show_scoreboard(
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 1 if README or notes are out of date or a record no longer counts."),
    ] = False,
    write: Annotated[
        list[Path] | None, typer.Option(metavar="README.md", help="Put the tables between this file's markers.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Show every recorded verdict, with whether its record still counts."""
    recorded = records.read_records()
    for file in write or []:
        changed = scoreboard.write_blocks(file, recorded)
        print(f"{file} {'rewritten' if changed else 'was up to date'}")
    if check:
        _check(recorded)
    elif json:
        rows = [
            {**row.to_dict(), "status": said}
            for r in recorded
            for said in [records.status(r)]
            for row in scoreboard.rows(r)
        ]
        print_json(rows)
    elif not write:
        _print_tables(recorded)


def latest_run(name: str, out: Path, scale: str | None) -> Path:
    """The folder of a study's newest finished run in `out`.

    Raises UserError if there is none.
    """
    scales = re.escape(scale) if scale else r"[^-]+"
    found: dict[str, list[Path]] = {}
    for file in out.glob("*/measurements.json"):
        match = re.fullmatch(rf"(.+)-({scales})-[0-9a-f]{{8}}", file.parent.name)
        if match:
            found.setdefault(match[1], []).append(file)
    slug = name if name in found else _slug(name, out, found)
    if slug not in found:
        at = f" at {scale} scale" if scale else ""
        raise UserError(
            f"no finished run of {slug}{at} in {out}: allyouneed run {slug}{f' --scale {scale}' if scale else ''}"
        )
    return max(found[slug], key=lambda file: file.stat().st_mtime).parent


def _slug(name: str, out: Path, found: dict[str, list[Path]]) -> str:
    """The paper's slug, or a word on what there is: the name may be that of a study of the user's."""
    try:
        return papers.find(name).slug
    except UserError:
        runs = ", ".join(sorted(found)) or "none"
        raise UserError(f"no finished run of {name!r} in {out}; finished there: {runs}") from None


def _check(recorded: list[records.Record]) -> None:
    root = records.find_checkout() or Path()
    notes = sorted((root / "src" / "allyouneed" / "papers").glob("*/notes.md"))
    found = scoreboard.problems([root / "README.md", *notes], recorded)
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        raise typer.Exit(1)
    print("the scoreboard is current")


def _print_tables(recorded: list[records.Record]) -> None:
    out = console()
    for record in recorded:
        out.print(_table(record, records.status(record)))
        out.print()
    if not recorded:
        out.print("No verdict is recorded yet: allyouneed run rope --record")


def _table(record: records.Record, status: str) -> Table:
    title = Text.assemble(
        (f"{record.paper} {record.where}", "bold"), f", recorded {record.values['recorded']}: {status}"
    )
    table = Table(
        title=title,
        title_justify="left",
        title_style="none",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        expand=True,
        leading=1,
    )
    table.add_column("", style="bold", no_wrap=True)
    for name, ratio in (("claim", 5), ("in the paper", 3), ("here", 3), ("verdict", 3)):
        table.add_column(name, ratio=ratio, overflow="fold")
    for row in scoreboard.rows(record):
        ours = Text(row.ours).append(f"\nn={row.n}" if row.n else "", style="dim")
        table.add_row(row.claim, Text(row.statement), Text(row.theirs), ours, Text(row.verdict, style="bold"))
    return table
