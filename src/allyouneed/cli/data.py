"""`allyouneed data list` and `get`: the public data sets, and having one here."""

from types import ModuleType
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from allyouneed.cli.printing import console, print_json


def add_to(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(no_args_is_help=True, epilog="Example: allyouneed data list")
    group.command("list", epilog="Example: allyouneed data list --json")(list_data)
    group.command("get", epilog="Example: allyouneed data get tinyshakespeare")(get_data)
    app.add_typer(group, name="data", help="Public data sets: what there is, and fetching it.")


def list_data(json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """List the data sets that `--data` takes besides a file or folder of yours.

    The built-in texts need no network; the others are fetched once, by `data get` or when a run needs them.
    """
    from allyouneed.data import corpora, registry

    sets: list[dict[str, Any]] = [
        {
            "name": name,
            "status": "built in",
            "licence": "those of the packages",
            "about": _first_line(corpora, name),
            "bytes": 0,
        }
        for name in corpora.PINNED
    ]
    sets += [
        {
            "name": d.name,
            "status": registry.status(d),
            "licence": d.licence,
            "about": d.about,
            "bytes": sum(file.size or 0 for file in d.files),
        }
        for d in registry.list_datasets()
    ]
    if json:
        print_json(sets)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("name", "here?", "size", "licence", "about"):
        table.add_column(heading)
    for d in sets:
        size = f"{d['bytes'] / 1e6:.1f} MB" if d["bytes"] else ""
        table.add_row(Text(d["name"], style="cyan"), d["status"], size, Text(d["licence"]), Text(d["about"]))
    console().print(table)


def get_data(name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `data list`.")]) -> None:
    """Fetch a data set into the cache, verify it, and print where it is."""
    from allyouneed.data import registry

    print(registry.get(name, progress=True))


def _first_line(module: ModuleType, name: str) -> str:
    return (getattr(module, name).__doc__ or "").strip().splitlines()[0]
