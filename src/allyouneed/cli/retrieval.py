"""`allyouneed index` and `search`: questions to a folder of one's own text and markdown files."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from allyouneed.cli.printing import console, json_numbers, print_json
from allyouneed.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from allyouneed.retrieval import TextEncoder

MINILM = "minilm"

Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(
        epilog="Examples: allyouneed index notes/ --out notes.index · "
        "allyouneed index docs/ --out docs.index --retriever bm25"
    )(index)
    app.command(epilog='Example: allyouneed search "how do I resume a run?" --index notes.index')(search)


def index(
    docs: Annotated[Path, typer.Argument(metavar="DOCS", help="A folder of text and markdown files, or one file.")],
    out: Annotated[Path, typer.Option(help="The folder of the index.")],
    retriever: Annotated[
        str, typer.Option(help="minilm (by meaning), bm25 (by words; needs no model) or hybrid (both).")
    ] = "hybrid",
    model: Annotated[
        str | None,
        typer.Option(metavar="CHECKPOINT", help="Another sentence encoder than MiniLM: a folder, or a name."),
    ] = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="What changed, as JSON on stdout.")] = False,
) -> None:
    """Index documents for `search`, or bring an index up to date: only what is new is encoded.

    Files are cut into passages of about 100 to 200 words. Interrupted, however abruptly, it leaves the index that was
    there, and the same command goes on with what was encoded so far.
    """
    from allyouneed.data.passages.cutting import documents
    from allyouneed.retrieval import store

    kinds = {MINILM: "dense", "bm25": "bm25", "hybrid": "hybrid"}
    if retriever not in kinds:
        raise UserError(f"there is no retriever {retriever!r}; there are {', '.join(kinds)}")
    if model is not None and retriever == "bm25":
        raise UserError("bm25 searches by words and needs no model: leave out --model, or take --retriever hybrid")
    contents = documents(docs)
    encoder, made_by = None, None
    if retriever != "bm25":
        name = MINILM if model is None else _lasting(model)
        encoder = _encoder(name, device)
        made_by = store.Model(name, encoder.version)
    started = time.perf_counter()
    with _progress() as told:
        change = store.update(out, str(docs.resolve()), contents, kinds[retriever], made_by, encoder, told)
    seconds = time.perf_counter() - started
    if json:
        print_json(asdict(change) | {"seconds": seconds})
        return
    print(
        f"{change.passages:,} passages of {len(contents):,} files in {out}: {change.new:,} new, {change.changed:,} "
        f"changed, {change.deleted:,} deleted, {change.unchanged:,} as they were; {change.encoded:,} passages encoded "
        f"in {seconds:.1f} s"
    )
    print(f'search it: allyouneed search "..." --index {out}')


def search(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you want to know.")],
    index: Annotated[Path, typer.Option(metavar="DIR", help="The folder that `index` made.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Hits to show.")] = 5,
    model: Annotated[
        str | None, typer.Option(metavar="CHECKPOINT", help="Where the index's model lies now, if it was moved.")
    ] = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Hits with scores and texts, as JSON on stdout.")] = False,
) -> None:
    """Find the passages that answer a question: file and line of each, the best first."""
    from allyouneed.retrieval import store

    if not question.strip():
        raise UserError("the question is empty")
    stored = store.open_index(index)
    encoder = None
    if stored.model is not None:
        encoder = _encoder(model or stored.model.name, device)
        if encoder.version != stored.model.version:
            raise UserError(
                f"the index in {index} was made by another version of {stored.model.name}, whose vectors cannot be "
                f"compared: bring it up to date with allyouneed index {stored.documents} --out {index}"
            )
    hits = stored.searcher(encoder).search([question], k)
    found = [(stored.passages[number], score) for number, score in zip(hits.ids[0], hits.scores[0]) if number >= 0]
    if json:
        rows = [{"score": float(score)} | asdict(passage) for passage, score in found]
        print_json(json_numbers({"documents": stored.documents, "hits": rows}))
        return
    for passage, score in found:
        console().print(
            Text(passage.place, style="bold") + Text(f"  {' > '.join(passage.headings)}  {score:.3f}", "dim")
        )
        console().print(Text(_shortened(passage.text)), "", sep="\n")
    if not found:
        print("nothing found: no passage has a word of the question")


def _encoder(name: str, device: str) -> "TextEncoder":
    from allyouneed.recipes.minilm import minilm
    from allyouneed.retrieval import TextEncoder

    try:
        return TextEncoder(minilm() if name == MINILM else name, device)
    except MissingExtra as error:
        raise MissingExtra(f"{error}; an index by words alone needs no model: --retriever bm25") from None


def _lasting(model: str) -> str:
    """A folder's name as it can be found from anywhere; a name on the hub stays."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _shortened(text: str, longest: int = 280) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[:longest].rsplit(" ", 1)[0] + " ..."


@contextmanager
def _progress() -> Iterator[Callable[[int, int], Any]]:
    """A bar on standard error; what is yielded takes the passages encoded and their number."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("encoding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    err = console(to_stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        task = bars.add_task("encoding", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
