"""Documents cut into passages of a few sentences, each knowing its headings, its file and its line.

Karpukhin et al., arXiv:2004.04906, section 4.1, cut Wikipedia into blocks of 100 words with the title in front. Here a
passage is made of whole paragraphs where they are short enough, and ends where a new heading begins.
"""

import codecs
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from allyouneed.errors import UserError

WANTED, LONGEST = 100, 200  # words: a passage is closed once it has so many, and never has more than so many
SUFFIXES = (".md", ".markdown", ".txt", ".text", ".rst")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_FENCE = re.compile(r"\s*(```|~~~)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Cut:
    """A passage of a file. line: of its first word, from 1. headings: those that it stands under, outermost first."""

    file: str
    line: int
    headings: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        """Such as "guide.md:12"."""
        return f"{self.file}:{self.line}"

    @property
    def in_context(self) -> str:
        """What is indexed: the headings, or else the file's name, in front of the text."""
        return f"{' > '.join(self.headings) or Path(self.file).stem}\n{self.text}"


@dataclass(frozen=True)
class _Paragraph:
    line: int
    headings: tuple[str, ...]
    text: str


def cut(text: str, file: str) -> list[Cut]:
    """The passages of a text, in order; `file` is its name."""
    passages: list[Cut] = []
    open_: list[_Paragraph] = []

    def close() -> None:
        if open_:
            passages.append(Cut(file, open_[0].line, open_[0].headings, "\n\n".join(p.text for p in open_)))
            open_.clear()

    for paragraph in (part for whole in _paragraphs(text) for part in _short_enough(whole)):
        n_words = sum(len(p.text.split()) for p in open_)
        grown = n_words + len(paragraph.text.split())
        if open_ and (open_[0].headings != paragraph.headings or n_words >= WANTED or grown > LONGEST):
            close()
        open_.append(paragraph)
    close()
    return passages


def documents(path: Path) -> dict[str, bytes]:
    """The text files at a path by their names inside it: one file, or a folder's, hidden ones left out.

    Raises UserError if there are none, or the path is not there.
    """
    if path.is_file():
        return {path.name: _read(path)}
    if not path.is_dir():
        raise UserError(f"there is no file or folder {path}")
    files = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file())
    inside = {file.relative_to(path).as_posix(): file for file in files}
    found = {name: _read(file) for name, file in inside.items() if not _hidden(name)}
    texts = {name: content for name, content in found.items() if _is_text(content)}
    if len(texts) < len(found):
        others = sorted(found.keys() - texts.keys())
        warnings.warn(f"left out of {path}, not UTF-8 text: {', '.join(others[:3])} ({len(others)})", stacklevel=2)
    if not texts:
        raise UserError(f"there is no text in {path}: looked for {', '.join(SUFFIXES)}")
    return texts


def as_text(content: bytes) -> str:
    """A document's bytes as text with \\n for its line ends."""
    text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _paragraphs(text: str) -> Iterator[_Paragraph]:
    """What stands between empty lines and headings; a fenced block of code is of one piece."""
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    first, fence = 0, ""
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        mark = _FENCE.match(line)
        heading = None if fence else _HEADING.fullmatch(line)
        if not fence and (heading or not line.strip()):
            if lines:
                yield _Paragraph(first, tuple(name for _, name in headings), "\n".join(lines))
                lines = []
            if heading:
                level = len(heading[1])
                headings = [*((depth, name) for depth, name in headings if depth < level), (level, heading[2])]
            continue
        if mark:
            fence = "" if fence == mark[1] else fence or mark[1]
        first = first if lines else number
        lines.append(line)
    if any(line.strip() for line in lines):  # a fence that nobody closed
        yield _Paragraph(first, tuple(name for _, name in headings), "\n".join(lines).rstrip())


def _short_enough(paragraph: _Paragraph) -> Iterator[_Paragraph]:
    """The paragraph, or pieces of it that end with a line, a sentence or at worst a word."""
    if len(paragraph.text.split()) <= LONGEST:
        yield paragraph
        return
    pieces, line = [], paragraph.line
    for text in paragraph.text.split("\n"):
        sentences = [piece for sentence in _SENTENCE.split(text) for piece in _cut_words(sentence)]
        pieces += [(line, sentence) for sentence in sentences if sentence.strip()]
        line += 1
    start, taken, n_words = 0, 0, 0
    for taken, (_, text) in enumerate(pieces):
        more = len(text.split())
        if taken > start and (n_words + more > LONGEST or n_words >= WANTED):
            yield _Paragraph(pieces[start][0], paragraph.headings, " ".join(piece for _, piece in pieces[start:taken]))
            start, n_words = taken, 0
        n_words += more
    yield _Paragraph(pieces[start][0], paragraph.headings, " ".join(piece for _, piece in pieces[start:]))


def _cut_words(sentence: str) -> list[str]:
    words = sentence.split()
    if len(words) <= LONGEST:
        return [sentence]
    return [" ".join(words[first : first + WANTED]) for first in range(0, len(words), WANTED)]


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content
