"""Names and paths to data: what `--data` takes, and what a study opens."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, overload

from allyouneed.data import corpora
from allyouneed.data.corpus import Corpus
from allyouneed.data.date_words import date_words
from allyouneed.data.multi30k import multi30k
from allyouneed.data.number_words import number_words
from allyouneed.data.pairs import Pairs
from allyouneed.data.pairs_file import pairs_file
from allyouneed.data.public_texts import tinyshakespeare, wikitext_2
from allyouneed.data.text_files import text_file, text_folder
from allyouneed.errors import UserError

Kind = Literal["text", "pairs"]

_TEXTS: dict[str, Callable[[], Corpus]] = {
    "python_code": corpora.python_code,
    "english_prose": corpora.english_prose,
    "tinyshakespeare": tinyshakespeare,
    "wikitext-2": wikitext_2,
}
_PAIRS: dict[str, Callable[..., Pairs]] = {
    "number_words": number_words,
    "date_words": date_words,
    "multi30k": multi30k,
}
_BUILT_IN = ("python_code", "english_prose", "number_words", "date_words")

# What there is of each kind, for whoever named something else.
_CHOICE = {
    "text": f"running text: {', '.join(_TEXTS)}, or a text file or a folder of them",
    "pairs": f"sentence pairs: {', '.join(_PAIRS)}, each also with languages (multi30k:de-en), "
    "or a file of lines source<TAB>target",
}


@overload
def open_data(name: str, kind: Literal["text"] = "text") -> Corpus: ...


@overload
def open_data(name: str, kind: Literal["pairs"]) -> Pairs: ...


def open_data(name: str, kind: Kind = "text") -> Corpus | Pairs:
    """Data of a kind, by name or by path; downloads a public data set that is not here yet.

    Running text ("text") is "python_code", "english_prose", "tinyshakespeare", "wikitext-2", a UTF-8 file (its first
    90 % become train, 5 % tune, 5 % test) or a folder of such files (split by file). Sentence pairs ("pairs") are
    "number_words", "date_words", "multi30k", from English to German or as in "multi30k:de-en", or a UTF-8 file with a
    line `source<TAB>target` for each. Raises UserError for a name or path that is not there, for data of the other
    kind, and for files that cannot be used.
    """
    return _open_pairs(name) if kind == "pairs" else _open_text(name)


def kind_of(name: str) -> Kind:
    """The kind of data that a name stands for; a file of pairs is known by the ending .tsv."""
    return "pairs" if _known(_base(name), _PAIRS) or name.endswith(".tsv") else "text"


def is_built_in(name: str) -> bool:
    """Whether a name stands for data that this install makes itself, so that other versions make other data."""
    return _known(_base(name), _BUILT_IN) is not None


def _open_text(name: str) -> Corpus:
    path = Path(name).expanduser()
    if known := _known(name, _TEXTS):
        return _TEXTS[known]()
    if path.is_dir():
        return text_folder(path)
    if path.exists():
        return text_file(path, path.name)
    if _known(_base(name), _PAIRS):
        raise UserError(f"{name} holds sentence pairs, and this needs {_CHOICE['text']}")
    raise _nothing_there("corpus", name, _TEXTS)


def _open_pairs(name: str) -> Pairs:
    path = Path(name).expanduser()
    if known := _known(_base(name), _PAIRS):
        return _PAIRS[known](*_languages(name))
    if path.exists():
        return pairs_file(path)
    if _known(name, _TEXTS):
        raise UserError(f"{name} is running text, and this needs {_CHOICE['pairs']}")
    raise _nothing_there("set of sentence pairs", name, _PAIRS)


def _languages(name: str) -> list[str]:
    """Source and target of "multi30k:de-en"; none of "multi30k", which leaves it to the data set."""
    base, colon, languages = name.partition(":")
    parts = languages.split("-") if colon else []
    if len(parts) not in (0, 2) or not all(parts):
        raise UserError(f"{name}: expected {base}:SOURCE-TARGET, such as {base}:de-en")
    return parts


def _base(name: str) -> str:
    return name.partition(":")[0]


def _known(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that is meant; "-" and "_" are the same."""
    return next((known for known in names if known.replace("_", "-") == name.replace("_", "-")), None)


def _nothing_there(what: str, name: str, known: Iterable[str]) -> UserError:
    near = get_close_matches(name, known, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known names: {', '.join(known)}"
    return UserError(f"there is no {what} and no file {name!r}; {hint}")
