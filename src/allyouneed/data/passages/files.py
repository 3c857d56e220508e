"""A user's own documents as a collection, and questions to it: lines of JSON with what answers each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from allyouneed.data.json_lines import json_lines
from allyouneed.data.passages.cutting import as_text, cut, documents
from allyouneed.data.passages.passages import Passages, Questions
from allyouneed.errors import UserError


def document_passages(path: Path) -> Passages:
    """The passages of a folder of text and markdown files, or of one file, without questions."""
    cuts = [passage for name, content in documents(path).items() for passage in cut(as_text(content), name)]
    if not cuts:
        raise UserError(f"there is no text in {path}")
    return Passages(path.name, [c.in_context for c in cuts], places=[c.place for c in cuts])


def with_questions(collection: Passages, path: Path) -> Passages:
    """The collection with the questions of a file as its test split.

    Each line is `{"query": "...", "relevant": ["guide.md", "notes/a.md"]}`: the files that answer, or else the
    passages, as in "guide.md:12". Raises UserError, with file and line, for one that is not, for a file that names
    both kinds, and if there is no question.
    """
    files = [place.rpartition(":")[0] for place in collection.places]
    file_number = {file: number for number, file in enumerate(dict.fromkeys(files))}
    passage_number = {place: number for number, place in enumerate(collection.places)}
    questions, kinds = Questions(), set()
    for values, place in json_lines(path):
        query, relevant = _question(values, place)
        of_files = all(name in file_number for name in relevant)
        numbers = file_number if of_files else passage_number
        kinds.add(of_files)
        for name in relevant:
            if name not in numbers:
                known = name in file_number or name in passage_number
                problem = "name files or passages, not both" if known else f"{collection.name} has no {name!r}"
                raise UserError(f"{place}: {problem}")
        if len(kinds) == 2:
            raise UserError(f"{place}: name files or passages, not both")
        questions.texts.append(query)
        questions.judged.append({numbers[name]: 1 for name in relevant})
    if not questions.texts:
        raise UserError(f"{path} has no questions: expected lines of JSON with query and relevant")
    documents = [file_number[file] for file in files] if kinds == {True} else []
    return replace(collection, test=questions, documents=documents)


def _question(values: dict[str, Any], place: str) -> tuple[str, list[str]]:
    expected = '{"query": "...", "relevant": ["FILE" or "FILE:LINE", ...]}'
    query, relevant = values.get("query"), values.get("relevant")
    if not isinstance(query, str) or not query.strip():
        raise UserError(f"{place}: no query; expected {expected}")
    if not isinstance(relevant, list) or not relevant or not all(isinstance(name, str) for name in relevant):
        raise UserError(f"{place}: relevant must list at least one file or passage; expected {expected}")
    return query, relevant
