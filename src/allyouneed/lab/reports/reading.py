"""A paper to read: its notes beside the source of its home and its study, in one HTML page."""

from pathlib import Path

from allyouneed.data.cache import atomic_write
from allyouneed.lab.papers import PACKAGE, Notes
from allyouneed.lab.reports import pages, records
from allyouneed.lab.reports.answer import NOT_MEASURED, answer


def write(notes: Notes, out: Path) -> Path:
    """Write `read-<slug>.html` into `out`; returns its path."""
    page = out / f"read-{notes.slug}.html"
    atomic_write(page, render(notes).encode())
    return page


def render(notes: Notes) -> str:
    """The page as HTML."""
    files = [*notes.homes.values(), *([notes.study_file] if notes.study_file.is_file() else [])]
    sources = [
        {"name": _shown(file), "anchor": f"file{n}", "html": pages.source(file, f"file{n}")}
        for n, file in enumerate(files)
    ]
    return pages.render(
        "reading.html.jinja",
        notes=notes,
        answer=answer(notes, records.read_records()) or NOT_MEASURED,
        body=pages.markdown(notes.body),
        sources=sources,
        source_style=pages.source_style(),
    )


def _shown(file: Path) -> str:
    return str(file.relative_to(PACKAGE)) if file.is_relative_to(PACKAGE) else file.name
