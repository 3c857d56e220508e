"""How a paper's pages open: the sentence that something is all you need, and what was measured of it."""

from collections import Counter
from collections.abc import Iterable

from allyouneed.lab.papers import Notes
from allyouneed.lab.reports.records import Record

NOT_MEASURED = "Not measured yet."


def answer(notes: Notes, records: Iterable[Record]) -> str:
    """`Measured: 3 of 4 claims hold at laptop scale, 1 contradicted.` and the notes' own sentence on it.

    It counts the paper's records on the study's own data, a scale each. Smoke runs are left out: they test the
    machinery. Empty if there is no record, since the notes can then answer nothing.
    """
    counted = [_counted(r) for r in records if r.paper == notes.slug and r.on_default_data and r.scale != "smoke"]
    return f"Measured: {'; '.join(counted)}. {notes.answer}".rstrip() if counted else ""


def markdown(notes: Notes, records: Iterable[Record]) -> str:
    """The opening for a document."""
    return f"**“{notes.sentence}”**\n\n{answer(notes, records) or NOT_MEASURED}"


def _counted(record: Record) -> str:
    """`3 of 4 claims hold at laptop scale, 1 contradicted, 1 not run`: of those that were run."""
    counts = Counter(judgement.word for judgement in record.judgements if not judgement.elsewhere)
    tested = counts.total() - counts["not run"]
    others = "".join(f", {counts[word]} {word}" for word in ("contradicted", "inconclusive", "not run") if counts[word])
    return f"{counts['holds']} of {tested} claims hold {record.where}{others}"
