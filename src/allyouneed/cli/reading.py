"""`allyouneed reading`: the reading list, how far the user is with it, and their notes."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from allyouneed.cli.printing import console, print_json
from allyouneed.errors import UserError
from allyouneed.lab import papers, progress
from allyouneed.lab.progress import Progress, Status
from allyouneed.lab.reading_list import LISTS, Kind
from allyouneed.lab.reports import reading_export

_MARKS = {Status.READ: Text("✓", style="green"), Status.READING: Text("…", style="yellow"), Status.UNREAD: Text("")}
_FORMATS = {".csv": reading_export.to_csv, ".md": reading_export.to_markdown}
_NAME = "A key of the list, an alias or an arXiv id."


def add_to(app: typer.Typer) -> None:
    """Add the group to the application; without a command of its own it lists."""
    group = typer.Typer()
    group.callback(
        invoke_without_command=True,
        epilog="Examples: allyouneed reading --unread · allyouneed reading --list read-recently --kind article",
    )(reading)
    group.command(epilog="Examples: allyouneed reading mark rope read · allyouneed reading mark rope alibi reading")(
        mark
    )
    group.command(epilog='Example: allyouneed reading note rope "turn q and k, never v"')(note)
    group.command(epilog="Examples: allyouneed reading export list.md · allyouneed reading export list.csv")(export)
    app.add_typer(group, name="reading")


def reading(
    context: typer.Context,
    unread: Annotated[
        bool, typer.Option("--unread", help="Only what is not marked read; what is being read is among it.")
    ] = False,
    of_list: Annotated[
        str | None, typer.Option("--list", metavar="NAME", help=f"Only the items of one list: {', '.join(LISTS)}.")
    ] = None,
    kinds: Annotated[
        list[Kind] | None, typer.Option("--kind", help="Only items of this kind; may be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """The reading list: papers, built here or not, and what else is worth reading; marks and notes of yours.

    They are kept in your data folder (ALLYOUNEED_HOME names another) and outlast upgrades.
    """
    if context.invoked_subcommand:
        if unread or of_list or kinds or json:
            raise typer.BadParameter(
                f"leave out what stands before {context.invoked_subcommand}: it chooses what is listed"
            )
        return
    if of_list not in (None, *LISTS):
        raise UserError(f"there is no list {of_list!r}; there are {', '.join(LISTS)}")
    rows = [
        row
        for row in _rows()
        if not (unread and row["status"] == Status.READ)
        and (of_list is None or of_list in row["lists"])
        and (not kinds or row["kind"] in kinds)
    ]
    if json:
        print_json(rows)
        return
    out = console()
    out.print(_table(rows))
    out.print(f"\n[dim]{reading_export.counted(rows)}. More on one: allyouneed show KEY[/]")


def mark(
    names: Annotated[list[str], typer.Argument(metavar="KEY", help=_NAME)],
    status: Annotated[Status, typer.Argument(metavar="STATUS", help="How far you are with it.")],
) -> None:
    """Mark items as read, as being read, or as unread again. The day is kept with the mark."""
    mine = progress.read_progress()
    keys = list(dict.fromkeys(_key(name, mine) for name in names))
    progress.mark(keys, status)
    print(f"{', '.join(keys)}: {status}")


def note(
    name: Annotated[str, typer.Argument(metavar="KEY", help=_NAME)],
    text: Annotated[
        str | None, typer.Argument(help='Your note, in place of an earlier one; "" removes it; left out: show it.')
    ] = None,
) -> None:
    """Put a note of yours on an item, or show it."""
    mine = progress.read_progress()
    key = _key(name, mine)
    if text is not None:
        progress.write_note(key, text)
        print(f"{key}: {'noted' if text.strip() else 'no note any more'}")
    elif found := mine.get(key, progress.Progress()).note:
        print(found)
    else:
        print(f'allyouneed: no note on {key} yet: allyouneed reading note {key} "..."', file=sys.stderr)


def export(file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, .csv or .md.")]) -> None:
    """Write the whole list with marks and notes to a file, as a table (.csv) or a checklist (.md)."""
    from allyouneed.data.cache import atomic_write

    write = _FORMATS.get(file.suffix.lower())
    if write is None:
        raise UserError(f"{file} must end in {' or '.join(_FORMATS)}: the ending says the format")
    atomic_write(file, write(_rows()).encode())
    print(file)


def _key(name: str, mine: Mapping[str, Progress]) -> str:
    """The key of an item by any of its names, or of one that only the user's own file knows."""
    return name if name in mine else papers.find_item(name).key


def _rows() -> list[dict[str, Any]]:
    built = {notes.slug for notes in papers.all_papers()}
    rows = reading_export.rows(papers.all_items(), progress.read_progress())
    return [row | {"built": row["key"] in built} for row in rows]


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("key", no_wrap=True)
    for name, ratio in (("title", 5), ("by", 3), ("lists", 3)):
        table.add_column(name, ratio=ratio, overflow="fold")
    for row in rows:
        key = Text(row["key"], style="cyan" if row["built"] else "")
        title = Text(row["title"] or "not on this version's list")
        if row["note"]:
            title.append(f"\n{row['note']}", style="italic dim")
        table.add_row(_MARKS[row["status"]], key, title, Text(row["by"]), Text(", ".join(row["lists"]), style="dim"))
    return table
