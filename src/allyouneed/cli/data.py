"""`allyouneed data list` and `get`: the public data sets, and having one here."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
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

    A study takes data of one kind; of sentence pairs the languages may be named: multi30k:de-en. Built-in data need no
    network; the others are fetched once, by `data get` or when a run needs them.
    """
    from allyouneed.data import kind_of, registry
    from allyouneed.data.open import BUILT_IN, KINDS, opener

    sets = [_built_in(name, opener(name)) | {"kind": kind_of(name)} for name in BUILT_IN]
    sets += [
        {
            "name": d.name,
            "kind": kind_of(d.holds[0] if d.holds else d.name),
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
    width = max(len(d["name"]) for d in sets)
    for kind in dict.fromkeys(d["kind"] for d in sets):
        console().print(Text(KINDS[kind].what, style="bold"))
        table = Table.grid(padding=(0, 1))
        for least in (width + 2, len("built in"), len("170.1 MB")):
            table.add_column(no_wrap=True, min_width=least)
        for d in (d for d in sets if d["kind"] == kind):
            licence = f" ({d['licence']})" if d["licence"] else ""
            about = Text.assemble(d["about"], (licence, "dim"))
            table.add_row(Text(f"  {d['name']}", style="cyan"), d["status"], _size(d), about)
        console().print(table)


def get_data(name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `data list`.")]) -> None:
    """Fetch a data set into the cache, verify it, and print where it is."""
    from allyouneed.data import registry

    print(registry.get(name, progress=True))


def _built_in(name: str, opener: Callable[..., Any]) -> dict[str, Any]:
    """What is listed of data that the packages of this install give."""
    about = " ".join((opener.__doc__ or "").split("\n\n")[0].split())
    return {"name": name, "status": "built in", "licence": "", "about": about, "bytes": 0}


def _size(entry: dict[str, Any]) -> str:
    return f"{entry['bytes'] / 1e6:.1f} MB" if entry["bytes"] else ""
