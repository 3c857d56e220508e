"""The scoreboard: every recorded verdict, generated from results/, for documents, a terminal or a machine.

A document has the table of all papers between `<!-- scoreboard:start -->` and `<!-- scoreboard:end -->`, that of
one paper between `<!-- scoreboard:rope:start -->` and `<!-- scoreboard:rope:end -->`. Between
`<!-- answer:rope:start -->` and `<!-- answer:rope:end -->` it has the paper's tagline and the answer to it.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab import papers
from allyouneed.lab.papers import FOLDER
from allyouneed.lab.reports import answer, replications
from allyouneed.lab.reports.records import FAILING, Record, status
from allyouneed.lab.reports.summary import verdict

_BLOCK = re.compile(
    r"<!-- (?P<name>scoreboard|(?:scoreboard|answer):(?P<paper>\w+)):start -->\n.*?<!-- (?P=name):end -->", re.DOTALL
)


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
    """The rows of one record, a claim each; what replicated it stands beside the verdict."""
    replicated = replications.short(record)
    return [
        Row(
            paper=record.paper,
            claim=judgement.id,
            statement=judgement.statement
            + (f" Weaker form: {judgement.weaker_form}." if judgement.weaker_form else ""),
            theirs=judgement.paper,
            ours=str(judgement.evidence) if judgement.evidence else "",
            verdict="; ".join([verdict(judgement, record.where), *replicated.get(judgement.id, [])]),
            n=f"{judgement.evidence.n} {judgement.evidence.unit}" if judgement.evidence else "",
            recorded_with=_recorded_with(record),
        )
        for judgement in record.judgements
    ]


def markdown(records: Iterable[Record]) -> str:
    """The table for a document. Smoke runs are left out: they test the machinery, not the claims.

    Nothing in it depends on the machine that prints it; whether a record is stale is `problems`' work. A claim that
    a record leaves to another scale or other data stands where it was judged.
    """
    records = [record for record in records if record.scale != "smoke"]
    judged = {(r.paper, j.id) for r in records for j in r.judgements if not j.elsewhere}
    lines = [
        "| Paper | Claim | In the paper | Here, with 95 % interval | Verdict | n | Recorded with |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        left = {j.id for j in record.judgements if j.elsewhere and (record.paper, j.id) in judged}
        for row in (row for row in rows(record) if row.claim not in left):
            cells = (f"**{row.claim}** {row.statement}", row.theirs, row.ours, row.verdict, row.n, row.recorded_with)
            lines.append(f"| {' | '.join([_linked(row.paper), *map(_escaped, cells)])} |")
    return "\n".join(lines) if len(lines) > 2 else "No verdict is recorded yet."


def write_blocks(file: Path, records: Iterable[Record]) -> bool:
    """Write what belongs between the markers of a file; whether that changed it. Raises UserError without markers."""
    from allyouneed.data.cache import atomic_write

    text, new = _old_and_new(file, list(records))
    if new != text:
        atomic_write(file, new.encode())
    return new != text


def problems(files: Iterable[Path], records: Iterable[Record]) -> list[str]:
    """Why the scoreboard is not current: outdated tables and answers, stale records, claims changed after their run."""
    records = list(records)
    found = []
    for file in files:
        text, new = _old_and_new(file, records)
        if new != text:
            found.append(f"{file} is out of date: allyouneed scoreboard --write {file}")
    for record in records:
        said = status(record)
        if said.startswith(FAILING):
            found.append(f"{record.paper} {record.where}: {said}: {record.command}")
    return found


def _old_and_new(file: Path, records: list[Record]) -> tuple[str, str]:
    """A file's text as it is, and as it should be."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no file {file}") from None
    if not _BLOCK.search(text):
        raise UserError(f"{file} has no lines <!-- scoreboard:start --> and <!-- scoreboard:end --> to write between")

    def block(match: re.Match[str]) -> str:
        name, paper = match["name"], match["paper"]
        if name.startswith("answer"):
            content = answer.markdown(papers.find(paper), records)
        else:
            content = markdown(r for r in records if paper in (None, r.paper))
        return f"<!-- {name}:start -->\n{content}\n<!-- {name}:end -->"

    return text, _BLOCK.sub(block, text)


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
