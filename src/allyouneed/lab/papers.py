"""The papers that are built: their notes, and finding one, or what else is on the reading list, by the names people
know it by.

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
from allyouneed.lab import reading_list
from allyouneed.lab.reading_list import Item, arxiv_id

PACKAGE = Path(__file__).resolve().parents[1]
FOLDER = PACKAGE / "papers"

_REQUIRED = ("title", "authors", "year", "theme", "tagline", "home")
# What the scoreboard writes into the notes: the opening, which every page makes for itself, and the table's marks.
_GENERATED = re.compile(
    r"<!-- answer:\w+:start -->.*?<!-- answer:\w+:end -->\n?|<!-- scoreboard:\w+:(?:start|end) -->\n?", re.DOTALL
)


class NotBuilt(UserError):
    """A name of something that is on the reading list and has no folder here; `item` is what the list knows of it."""

    def __init__(self, item: Item) -> None:
        where = f": {item.url}" if item.url else ""
        super().__init__(f"{item.key} is on the reading list and not built yet{where}")
        self.item = item


@dataclass(frozen=True)
class Notes:
    """A paper's front matter and the sections under it, by heading, in their order.

    `home` is the module that holds the paper's idea, `also` further ones; `arxiv` may be empty; `answer` is a
    sentence on what the recorded results say to the tagline, empty until there are any. `body` and `sections` are
    without what the scoreboard generates around its table.
    """

    slug: str
    file: Path
    title: str
    authors: str
    year: int
    arxiv: tuple[str, ...]
    theme: str
    tagline: str
    answer: str
    home: str
    also: tuple[str, ...]
    families: tuple[str, ...]
    aliases: tuple[str, ...]
    status: str
    body: str
    sections: dict[str, str]

    @property
    def sentence(self) -> str:
        """The tagline as a sentence: `A rotation of queries and keys is all you need.`"""
        return f"{self.tagline[0].upper()}{self.tagline[1:]}."

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

    Raises NotBuilt if only the reading list knows it, else UserError with the nearest names.
    """
    direct = folder / _plain(name) / "notes.md"
    if _plain(name).isidentifier() and direct.is_file():
        return read_notes(direct)
    papers = {paper.slug: paper for paper in all_papers(folder)}
    items = all_items(folder)
    names = _names(papers.values(), items.values())
    wanted = arxiv_id(name) or _plain(name)
    if wanted not in names:
        raise UserError(
            f"there is no paper {name!r}. {_nearest(wanted, names)}`allyouneed list` names the papers, "
            "`allyouneed reading` the whole reading list."
        )
    key = names[wanted]
    if key not in papers:
        raise NotBuilt(items[key])
    return papers[key]


def all_items(folder: Path = FOLDER) -> dict[str, Item]:
    """The reading list, by key: papers built or not, and what else the lists name."""
    return reading_list.read_items(folder / reading_list.NAME)


def find_item(name: str, folder: Path = FOLDER) -> Item:
    """The item of the reading list with this key, alias or arXiv id. Raises UserError as `find`."""
    try:
        return all_items(folder)[find(name, folder).slug]
    except NotBuilt as known:
        return known.item


def read_notes(file: Path) -> Notes:
    """The notes in a file whose folder is named after the slug.

    Raises ValueError if the front matter is missing, incomplete or not YAML.
    """
    front, text = _split(file)
    body = _GENERATED.sub("", text).strip()
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
        answer=str(front.get("answer") or ""),
        home=str(front["home"]),
        also=_texts(front.get("also")),
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


def _names(papers: Iterable[Notes], items: Iterable[Item]) -> dict[str, str]:
    """The slug or key behind every name. Of two that share an arXiv id it is the built one's, else the first's."""
    papers, items = list(papers), list(items)
    names = {key: key for key in [*(paper.slug for paper in papers), *(item.key for item in items)]}
    for paper in papers:
        for name in (*map(_plain, paper.aliases), *paper.arxiv):
            names.setdefault(name, paper.slug)
    for item in items:
        if item.arxiv:
            names.setdefault(item.arxiv, item.key)
    return names


def _nearest(wanted: str, names: dict[str, str]) -> str:
    close = difflib.get_close_matches(wanted, names, n=5)
    slugs = list(dict.fromkeys(names[name] for name in close))[:3]
    return f"Did you mean {' or '.join(slugs)}? " if slugs else ""
