"""`allyouneed list`, `show` and `read`: what papers there are, and one of them from near."""

import webbrowser
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from allyouneed.cli.printing import console, print_json
from allyouneed.lab import papers
from allyouneed.lab.papers import NotBuilt, Notes
from allyouneed.lab.reading_list import Item, Kind
from allyouneed.lab.reports import records, replications
from allyouneed.lab.reports.answer import NOT_MEASURED, answer
from allyouneed.lab.reports.records import Record
from allyouneed.lab.reports.summary import COLOURS

Name = Annotated[str, typer.Argument(metavar="SLUG", help="A slug, an alias or an arXiv id.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("list", epilog="Examples: allyouneed list --json · allyouneed list --all")(list_papers)
    app.command(epilog="Examples: allyouneed show rope · allyouneed show 2104.09864")(show)
    app.command(epilog="Example: allyouneed read rope --no-browser")(read)


def list_papers(
    everything: Annotated[
        bool, typer.Option("--all", help="Also the papers of the reading list that are not built yet.")
    ] = False,
    json: Json = False,
) -> None:
    """List the papers by theme, with their recorded verdicts at laptop scale."""
    verdicts = {r.paper: r for r in reversed(records.read_records()) if r.scale == "laptop" and r.on_default_data}
    notes = sorted(papers.all_papers(), key=lambda n: (n.theme, n.year, n.slug))
    waiting = _not_built(notes) if everything else []
    if json:
        built = [_short(n) | {"verdicts": _verdicts(verdicts.get(n.slug))} for n in notes]
        print_json([*built, *map(_known, waiting)])
        return
    table = Table.grid(padding=(0, 2))
    theme = ""
    for n in notes:
        if n.theme != theme:
            table.add_row(*([""] if theme else []))
            table.add_row(Text(n.theme, style="bold"))
            theme = n.theme
        counted = _counted(verdicts.get(n.slug))
        table.add_row(Text(f"  {n.slug}", style="cyan"), str(n.year), Text(n.tagline), counted)
    if waiting:
        table.add_row("")
        table.add_row(Text("not built yet", style="bold"))
    for item in waiting:
        table.add_row(Text(f"  {item.key}"), "", Text(f"{item.title} ({item.by})"), "not built yet", style="dim")
    console().print(table)
    console().print("\n[dim]The last column counts verdicts recorded at laptop scale. Run one: allyouneed run SLUG[/]")


def show(name: Name, json: Json = False) -> None:
    """Show one paper: its idea, home, study, tests, families and recorded verdicts.

    Of what is on the reading list and not built yet: what the list knows.
    """
    try:
        notes = papers.find(name)
    except NotBuilt as known:
        _show_item(known.item, json)
        return
    recorded = [record for record in records.read_records() if record.paper == notes.slug]
    if json:
        print_json(_details(notes, recorded))
        return
    out = console()
    out.print(f"[bold]“{escape(notes.sentence)}”[/]")
    out.print(f"{escape(answer(notes, recorded) or NOT_MEASURED)}\n")
    out.print(f"{escape(notes.title)}\n[dim]{escape(notes.authors)}, {notes.year}[/]\n")
    if idea := notes.sections.get("Idea"):
        out.print(Text(" ".join(idea.split())))
        out.print()
    out.print(_facts(notes))
    for record in recorded:
        out.print(_verdict_table(record))


def read(
    name: Name,
    out: Annotated[Path, typer.Option(help="The folder for the page.")] = Path("runs"),
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Read a paper: its notes beside the source of its home and its study, in the browser."""
    from allyouneed.lab.reports import reading

    page = reading.write(papers.find(name), out)
    print(page)
    if browser:
        webbrowser.open(page.resolve().as_uri())


def find_tests(notes: Notes, checkout: Path | None) -> list[str]:
    """The test files of a paper that exist in a checkout: its homes', its parity, its study's."""
    if checkout is None:
        return []
    tests = checkout / "tests"
    homes = [Path(*module.split(".")[1:]) for module in notes.homes]
    wanted = [tests / home.parent / f"test_{home.name}.py" for home in homes]
    wanted += sorted((tests / "parity").glob(f"test_*{notes.slug}*.py"))
    wanted += [tests / "papers" / f"test_{notes.slug}.py"]
    return [str(file.relative_to(checkout)) for file in dict.fromkeys(wanted) if file.is_file()]


def _short(notes: Notes) -> dict[str, Any]:
    names = ("slug", "title", "authors", "year", "arxiv", "theme", "tagline", "status")
    return {name: getattr(notes, name) for name in names} | {"built": True}


def _known(item: Item) -> dict[str, Any]:
    names = ("kind", "title", "by", "url", "lists")
    return {"slug": item.key} | {name: getattr(item, name) for name in names} | {"built": False}


def _not_built(built: list[Notes]) -> list[Item]:
    slugs = {n.slug for n in built}
    return [item for item in papers.all_items().values() if item.kind is Kind.PAPER and item.key not in slugs]


def _show_item(item: Item, json: bool) -> None:
    if json:
        print_json(_known(item))
        return
    out = console()
    out.print(Text(item.title, style="bold"))
    if item.by:
        out.print(Text(item.by))
    facts = {"kind": item.kind, "link": item.url, "on the lists": ", ".join(item.lists), "here": "not built yet"}
    out.print()
    out.print(_labelled(facts))


def _details(notes: Notes, recorded: list[Record]) -> dict[str, Any]:
    return _short(notes) | {
        "answer": answer(notes, recorded) or NOT_MEASURED,
        "idea": notes.sections.get("Idea", ""),
        "homes": {module: str(file) for module, file in notes.homes.items()},
        "study": str(notes.study_file),
        "tests": find_tests(notes, records.find_checkout()),
        "families": notes.families,
        "aliases": notes.aliases,
        "records": [
            {
                "scale": r.scale,
                "data": r.data,
                "file": str(r.file),
                "verdicts": _verdicts(r),
                "replicated": replications.short(r),
            }
            for r in recorded
        ],
    }


def _facts(notes: Notes) -> Table:
    checkout = records.find_checkout()
    facts = {
        "home": "\n".join(_near(file) for file in notes.homes.values()),
        "study": _near(notes.study_file),
        "tests": "\n".join(find_tests(notes, checkout)),
        "families": ", ".join(notes.families),
        "arXiv": ", ".join(notes.arxiv),
        "also called": ", ".join(notes.aliases),
        "run it": f"allyouneed run {notes.slug}",
    }
    return _labelled(facts)


def _labelled(facts: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for label, text in facts.items():
        if text:
            table.add_row(Text(label, style="dim"), Text(text))
    return table


def _verdict_table(record: Record) -> Table:
    title = Text(f"\nrecorded {record.where}, {record.values['recorded']}", style="bold")
    table = Table(
        title=title, title_justify="left", title_style="none", box=None, padding=(0, 2, 0, 0), show_header=False
    )
    replicated = replications.short(record)
    for judgement in (judgement for judgement in record.judgements if not judgement.elsewhere):
        ours = str(judgement.evidence) if judgement.evidence else ""
        verdict = Text(judgement.verdict, style=COLOURS[judgement.word])
        verdict.append("".join(f"\n{text}" for text in replicated.get(judgement.id, [])), style="not bold dim")
        table.add_row(Text(judgement.id, style="bold"), Text(judgement.statement), Text(ours), verdict)
    return table


def _near(file: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def _verdicts(record: Record | None) -> dict[str, str]:
    return {j.id: j.verdict for j in record.judgements} if record else {}


def _counted(record: Record | None) -> Text:
    if record is None:
        return Text("no record yet", style="dim")
    counts = Counter(judgement.word for judgement in record.judgements if not judgement.elsewhere)
    parts = [Text(f"{counts[word]} {word}", style=colour) for word, colour in COLOURS.items() if counts[word]]
    return Text(", ").join(parts)
