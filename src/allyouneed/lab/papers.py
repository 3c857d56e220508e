"""The papers that are built: their notes, and finding one by the names people know it by.

A paper's `notes.md` opens with front matter (title, authors, year, ...) and goes on in sections. This
module reads files and nothing else, so that `allyouneed list` needs no torch.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from allyouneed.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
FOLDER = PACKAGE / "papers"

_REQUIRED = ("title", "authors", "year", "theme", "tagline", "home")
_ARXIV = re.compile(r"^(?:https?://arxiv\.org/(?:abs|pdf)/|arxiv:)?(\d{4}\.\d{4,5})(?:v\d+)?(?:\.pdf)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Notes:
    """A paper's front matter and the sections under it, by heading, in their order.

    `home` is the module that holds the paper's idea, `also` further ones; `arxiv` may be empty; `seeds`
    are the reading lists that the paper comes from.
    """

    slug: str
    file: Path
    title: str
    authors: str
    year: int
    arxiv: tuple[str, ...]
    theme: str
    tagline: str
    home: str
    also: tuple[str, ...]
    seeds: tuple[str, ...]
    families: tuple[str, ...]
    aliases: tuple[str, ...]
    status: str
    body: str
    sections: dict[str, str]

    @property
    def study_file(self) -> Path:
        """Where the paper's study lies."""
        return self.file.with_name("study.py")

    @property
    def homes(self) -> dict[str, Path]:
        """The files of `home` and `also`, by module name."""
        return {module: module_file(module) for module in (self.home, *self.also)}


def all_papers(folder: Path = FOLDER) -> list[Notes]:
    """The notes of every paper, sorted by slug."""
    return [read_notes(file) for file in sorted(folder.glob("*/notes.md"))]


def find(name: str, folder: Path = FOLDER) -> Notes:
    """The paper with this slug, alias or arXiv id; case does not count, and `-` equals `_`.

    Raises UserError with the nearest names if there is none.
    """
    direct = folder / _plain(name) / "notes.md"
    if _plain(name).isidentifier() and direct.is_file():
        return read_notes(direct)
    papers = all_papers(folder)
    wanted = _arxiv_id(name) or _plain(name)
    for paper in papers:
        if wanted in {paper.slug, *map(_plain, paper.aliases), *paper.arxiv}:
            return paper
    raise UserError(f"there is no paper {name!r}. {_nearest(wanted, papers)}`allyouneed list` names them all.")


def read_notes(file: Path) -> Notes:
    """The notes in a file whose folder is named after the slug.

    Raises ValueError if the front matter is missing, incomplete or not YAML.
    """
    front, body = _split(file)
    missing = [name for name in _REQUIRED if front.get(name) in (None, "")]
    if missing:
        raise ValueError(f"the front matter of {file} lacks {', '.join(missing)}")
    if not all(isinstance(number, str) for number in front.get("arxiv") or []):
        raise ValueError(f"the arXiv ids in {file} need quotes: YAML reads them as numbers and drops last zeros")
    return Notes(
        slug=file.parent.name,
        file=file,
        title=str(front["title"]),
        authors=_joined(front["authors"]),
        year=int(front["year"]),
        arxiv=_texts(front.get("arxiv")),
        theme=str(front["theme"]),
        tagline=str(front["tagline"]),
        home=str(front["home"]),
        also=_texts(front.get("also")),
        seeds=_texts(front.get("seeds")),
        families=_texts(front.get("families")),
        aliases=_texts(front.get("aliases")),
        status=str(front.get("status") or "built"),
        body=body,
        sections=_sections(body),
    )


def module_file(module: str) -> Path:
    """The file of one of the project's own modules, found without importing it.

    Raises FileNotFoundError if there is no such module.
    """
    base = PACKAGE.joinpath(*module.split(".")[1:])
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file
    raise FileNotFoundError(f"there is no module {module}: neither {base}.py nor {base}/__init__.py exists")


def _split(file: Path) -> tuple[dict[str, Any], str]:
    text = file.read_text(encoding="utf-8")
    match = re.match(r"---\n(.*?\n)---\n(.*)", text, re.DOTALL)
    if match is None:
        raise ValueError(f"{file} must open with front matter between two lines of ---")
    try:
        front = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise ValueError(f"the front matter of {file} is not YAML: {error}") from error
    if not isinstance(front, dict):
        raise ValueError(f"the front matter of {file} must be `name: value` lines")
    return front, match[2].strip()


def _sections(body: str) -> dict[str, str]:
    parts = re.split(r"^## +(.+?) *$", body, flags=re.MULTILINE)
    return {heading: text.strip() for heading, text in zip(parts[1::2], parts[2::2])}


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


def _joined(value: Any) -> str:
    return ", ".join(_texts(value))


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _arxiv_id(name: str) -> str | None:
    match = _ARXIV.match(name.strip())
    return match[1] if match else None


def _nearest(wanted: str, papers: Iterable[Notes]) -> str:
    names = {_plain(name): paper.slug for paper in papers for name in (paper.slug, *paper.aliases, *paper.arxiv)}
    close = difflib.get_close_matches(wanted, names, n=5, cutoff=0.5)
    slugs = list(dict.fromkeys(names[name] for name in close))[:3]
    return f"Did you mean {' or '.join(slugs)}? " if slugs else ""
