"""Cranfield and Medline: abstracts with questions whose answers were judged by hand, in the format of SMART."""

import re
from collections.abc import Iterator

from allyouneed.data import registry
from allyouneed.data.passages.passages import Passages, Questions

_RECORD = re.compile(r"^\.I\s+(\d+)\s*$", re.MULTILINE)
_FIELD = re.compile(r"^\.([A-Z])\s*$", re.MULTILINE)


def cranfield() -> Passages:
    """1,400 abstracts of aerodynamics and 225 questions, all to test on (Cleverdon, 1967).

    A document is its title and its text, which repeats the title. The judgements number the questions by their order
    in the file, not by the number that they have there; degrees 1 to 4 are relevant, all with grade 1, and -1 is not.
    """
    folder = registry.get("cranfield", progress=True)
    records = _records((folder / "cran.all.1400").read_text("utf-8"))
    texts = {int(n): f"{fields['T']} {fields['W']}".strip() for n, fields in records}
    queries = [fields["W"] for _, fields in _records((folder / "cran.qry").read_text("utf-8"))]
    rows = [line.split() for line in (folder / "cranqrel").read_text("utf-8").splitlines() if line.strip()]
    judged = [(int(row[0]), int(row[1])) for row in rows if int(row[2]) > 0]
    return _collection("cranfield", texts, queries, judged)


def medline() -> Passages:
    """1,033 medical abstracts and 30 questions, all to test on."""
    folder = registry.get("medline", progress=True)
    texts = {int(n): fields["W"] for n, fields in _records((folder / "MED.ALL").read_text("utf-8"))}
    queries = [fields["W"] for _, fields in _records((folder / "MED.QRY").read_text("utf-8"))]
    rows = [line.split() for line in (folder / "MED.REL").read_text("utf-8").splitlines() if line.strip()]
    return _collection("medline", texts, queries, [(int(row[0]), int(row[2])) for row in rows])


def _collection(name: str, texts: dict[int, str], queries: list[str], judged: list[tuple[int, int]]) -> Passages:
    """`judged` has numbers of questions, from 1, and of relevant documents."""
    place = {number: at for at, number in enumerate(texts)}
    relevant: list[dict[int, int]] = [{} for _ in queries]
    for question, document in judged:
        relevant[question - 1][place[document]] = 1
    return Passages(name, list(texts.values()), test=Questions(queries, relevant), places=[str(n) for n in texts])


def _records(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The number of each record and its fields by their letters, each as one line."""
    parts = _RECORD.split(text)[1:]
    for number, record in zip(parts[::2], parts[1::2]):
        pieces = _FIELD.split(record)[1:]
        yield number, {letter: " ".join(content.split()) for letter, content in zip(pieces[::2], pieces[1::2])}
