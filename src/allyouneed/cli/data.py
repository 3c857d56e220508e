"""`allyouneed data list` and `get`: the public data sets, and having one here."""

from collections.abc import Callable
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

    A study takes running text, or sentence pairs, of which the languages may be named: multi30k:de-en. Built-in data
    need no network; the others are fetched once, by `data get` or when a run needs them.
    """
    from allyouneed.data import corpora, date_words, kind_of, number_words, registry

    texts = (corpora.python_code, corpora.english_prose)
    pairs = {number_words.number_words: number_words.N_PAIRS, date_words.date_words: date_words.N_PAIRS}
    sets = [_built_in(opener, 0) for opener in texts] + [_built_in(opener, size) for opener, size in pairs.items()]
    sets += [
        {
            "name": d.name,
            "status": registry.status(d),
            "licence": d.licence,
            "about": d.about,
            "bytes": sum(file.size or 0 for file in d.files),
            "pairs": 0,
        }
        for d in registry.list_datasets()
    ]
    for d in sets:
        d["kind"] = kind_of(d["name"])
    if json:
        print_json(sets)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("name", "kind", "here?", "size", "licence", "about"):
        table.add_column(heading, no_wrap=heading in ("name", "kind", "size"))
    for d in sets:
        name = Text(d["name"], style="cyan")
        table.add_row(name, d["kind"], d["status"], _size(d), Text(d["licence"]), Text(d["about"]))
    console().print(table)


def get_data(name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `data list`.")]) -> None:
    """Fetch a data set into the cache, verify it, and print where it is."""
    from allyouneed.data import registry

    print(registry.get(name, progress=True))


def _built_in(opener: Callable[..., Any], n_pairs: int) -> dict[str, Any]:
    """What is listed of data that the packages of this install give."""
    return {
        "name": opener.__name__,
        "status": "built in",
        "licence": "those of the packages",
        "about": (opener.__doc__ or "").strip().splitlines()[0],
        "bytes": 0,
        "pairs": n_pairs,
    }


def _size(entry: dict[str, Any]) -> str:
    if entry["pairs"]:
        return f"{entry['pairs']:,} pairs"
    return f"{entry['bytes'] / 1e6:.1f} MB" if entry["bytes"] else ""
