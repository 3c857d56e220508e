"""The scoreboard: every recorded verdict, generated from results/, for the README, a terminal or a machine."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.papers import FOLDER
from allyouneed.lab.records import Record, status
from allyouneed.lab.summary import verdict

START, END = "<!-- scoreboard:start -->", "<!-- scoreboard:end -->"
_FAILING = ("stale", "claim changed")


@dataclass(frozen=True)
class Row:
    """One claim of one record. `verdict` always carries its scale; `n` is empty where nothing was measured."""

    paper: str
    claim: str
    statement: str
    theirs: str
    ours: str
    verdict: str
    n: str
    recorded_with: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def rows(record: Record) -> list[Row]:
    """The rows of one record, a claim each."""
    return [
        Row(
            paper=record.paper,
            claim=judgement.id,
            statement=judgement.statement,
            theirs=judgement.paper,
            ours=str(judgement.evidence) if judgement.evidence else "",
            verdict=verdict(judgement, record.where),
            n=f"{judgement.evidence.n} {judgement.evidence.unit}" if judgement.evidence else "",
            recorded_with=_recorded_with(record),
        )
        for judgement in record.judgements
    ]


def markdown(records: Iterable[Record]) -> str:
    """The table for the README. Smoke runs are left out: they test the machinery, not the claims.

    Nothing in it depends on the machine that prints it; whether a record is stale is `problems`' work.
    """
    lines = [
        "| Paper | Claim | In the paper | Here, with 95 % interval | Verdict | n | Recorded with |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        for row in rows(record) if record.scale != "smoke" else []:
            cells = (f"**{row.claim}** {row.statement}", row.theirs, row.ours, row.verdict, row.n, row.recorded_with)
            lines.append(f"| {' | '.join([_linked(row.paper), *map(_escaped, cells)])} |")
    return "\n".join(lines) if len(lines) > 2 else "No verdict is recorded yet."


def write_block(file: Path, records: Iterable[Record]) -> bool:
    """Put the table between the markers of a file; whether that changed it. Raises UserError without markers."""
    from allyouneed.data.cache import atomic_write

    before, _, after = _parts(file)
    text = f"{before}{_block(records)}{after}"
    changed = text != file.read_text(encoding="utf-8")
    if changed:
        atomic_write(file, text.encode())
    return changed


def problems(file: Path, records: Iterable[Record]) -> list[str]:
    """Why the scoreboard is not current: an outdated block, stale records, claims changed after their run."""
    records = list(records)
    found = []
    if _parts(file)[1] != _block(records):
        found.append(f"{file} is out of date: allyouneed scoreboard --write {file}")
    for record in records:
        said = status(record)
        if said.startswith(_FAILING):
            found.append(
                f"{record.paper} {record.where}: {said}: allyouneed run {record.paper} --scale {record.scale} --record"
            )
    return found


def _block(records: Iterable[Record]) -> str:
    return f"{START}\n{markdown(records)}\n{END}"


def _parts(file: Path) -> tuple[str, str, str]:
    """A file's text before, within (markers included) and after the block."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no file {file}") from None
    start, end = text.find(START), text.find(END)
    if start < 0 or end < start:
        raise UserError(f"{file} has no lines {START} and {END} to write the scoreboard between")
    return text[:start], text[start : end + len(END)], text[end + len(END) :]


def _recorded_with(record: Record) -> str:
    torch = record.values["packages"].get("torch")
    parts = [
        record.values["recorded"],
        f"torch {torch}" if torch else "",
        f"{record.values['core_minutes']:.0f} core-min",
    ]
    return ", ".join(part for part in parts if part)


def _linked(paper: str) -> str:
    return f"[{paper}](src/allyouneed/papers/{paper}/notes.md)" if (FOLDER / paper / "notes.md").is_file() else paper


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
