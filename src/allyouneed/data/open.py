"""Names and paths to data: what `--data` takes, and what a study opens."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from allyouneed.errors import UserError

if TYPE_CHECKING:
    from allyouneed.data.pairs import Pairs
    from allyouneed.data.text.corpus import Corpus

BUILT_IN = (
    *("python_code", "english_prose", "number_words", "date_words", "digits", "shapes"),
    *("biographies", "docstring_pairs", "docstring_chats", "code_chats"),
)


@dataclass(frozen=True)
class Kind:
    """One kind of data.

    what: its name for people.
    named: where each data set of the kind is opened, as "module:function".
    path: the same for a user's file or folder, which the function receives.
    is_path: what that may be, for people.
    variants: what may follow a name behind a colon ("multi30k:de-en"), for people; the opener gets its parts.
    """

    what: str
    named: Mapping[str, str]
    path: str
    is_path: str
    variants: tuple[str, ...] = field(default=())

    @property
    def choice(self) -> str:
        """All of it, for whoever named something else."""
        also = f", each also with {' and '.join(self.variants)}" if self.variants else ""
        return f"{self.what}: {', '.join(self.named)}{also}, or {self.is_path}"


_HERE = "allyouneed.data."
KINDS: dict[str, Kind] = {
    "text": Kind(
        what="running text",
        named={
            "python_code": _HERE + "text.corpora:python_code",
            "english_prose": _HERE + "text.corpora:english_prose",
            "tinyshakespeare": _HERE + "text.public:tinyshakespeare",
            "wikitext-2": _HERE + "text.public:wikitext_2",
        },
        path=_HERE + "text.files:text",
        is_path="a text file or a folder of them",
    ),
    "pairs": Kind(
        what="sentence pairs",
        named={
            "number_words": _HERE + "pairs.number_words:number_words",
            "date_words": _HERE + "pairs.date_words:date_words",
            "multi30k": _HERE + "pairs.public:multi30k",
        },
        path=_HERE + "pairs.files:pairs_file",
        is_path="a file of lines source<TAB>target",
        variants=("source", "target"),
    ),
    "passages": Kind(
        what="passages with questions",
        named={
            "biographies": _HERE + "tasks.biographies:biographies",
            "docstring_pairs": _HERE + "passages.docstring_pairs:docstring_pairs",
            "cranfield": _HERE + "passages.public:cranfield",
            "medline": _HERE + "passages.public:medline",
        },
        path=_HERE + "passages.files:document_passages",
        is_path="a text or markdown file or a folder of them",
    ),
    "images": Kind(
        what="images",
        named={
            "digits": _HERE + "images.digits:digits",
            "shapes": _HERE + "images.shapes:shapes",
            "mnist": _HERE + "images.public:mnist",
            "cifar10": _HERE + "images.public:cifar10",
        },
        path=_HERE + "images.files:image_folder",
        is_path="a folder of class folders, or of pictures without classes",
    ),
    "chats": Kind(
        what="conversations",
        named={
            "docstring_chats": _HERE + "chats.docstring_chats:docstring_chats",
            "code_chats": _HERE + "chats.docstring_chats:code_chats",
            "sst2": _HERE + "chats.public:sst2",
            "trec": _HERE + "chats.public:trec",
        },
        path=_HERE + "chats.files:chats_file",
        is_path='a file of lines {"messages": [...]} or {"prompt": ..., "completion": ...}',
    ),
    "answers": Kind(
        what="several models' answers to the same questions",
        named={
            "routellm": _HERE + "answers.public:routellm",
            "headlines": _HERE + "answers.public:headlines",
            "frugalgpt": _HERE + "answers.public:headlines",
        },
        path=_HERE + "answers.files:answers_file",
        is_path='a file of lines {"query": ..., "answers": {"MODEL": {"text": ..., "cost": ..., "correct": ...}}}',
    ),
    "preferences": Kind(
        what="preferences between two answers",
        named={"hh-rlhf": _HERE + "preferences.public:hh_rlhf"},
        path=_HERE + "preferences.files:preferences_file",
        is_path='a file of lines {"prompt": ..., "chosen": ..., "rejected": ...}',
    ),
}


@overload
def open_data(name: str, kind: Literal["text"] = "text") -> "Corpus": ...


@overload
def open_data(name: str, kind: Literal["pairs"]) -> "Pairs": ...


@overload
def open_data(name: str, kind: str) -> Any: ...


def open_data(name: str, kind: str = "text") -> Any:
    """Data of a kind, by name or by path; downloads a public data set that is not here yet.

    KINDS says what kinds there are, the names of each and what a path means. Whatever is opened has a `name`, a
    `version` (the sha256 of its content) and the splits `train`, `tune` and `test`, whose length counts `unit`, at
    least `least` in each. Raises UserError for a name or path that is not there, for data of another kind, and for
    files that cannot be used.
    """
    wanted, path = KINDS[kind], Path(name).expanduser()
    if known := _known(_base(name, wanted), wanted.named):
        return _function(wanted.named[known])(*_variant(name, wanted))
    if path.exists():
        return _function(wanted.path)(path)
    other = _kind_named(name)
    if other is not None:
        raise UserError(f"{name} is {KINDS[other].what}, and this needs {wanted.choice}")
    raise _nothing_there(name, wanted)


def kind_of(name: str) -> str:
    """The kind of data that a name stands for; a file of pairs is known by the ending .tsv."""
    return _kind_named(name) or ("pairs" if name.endswith(".tsv") else "text")


def opener(name: str) -> Callable[..., Any]:
    """What opens the data set of that name. Raises KeyError for a name that is not in KINDS."""
    named = KINDS[kind_of(name)].named
    return _function(named[_known(name, named) or name])


def is_built_in(name: str) -> bool:
    """Whether a name stands for data that this install makes itself, so that other versions make other data."""
    return _known(name.partition(":")[0], BUILT_IN) is not None


def _kind_named(name: str) -> str | None:
    return next((kind for kind, k in KINDS.items() if _known(_base(name, k), k.named)), None)


def _base(name: str, kind: Kind) -> str:
    return name.partition(":")[0] if kind.variants else name


def _variant(name: str, kind: Kind) -> list[str]:
    """Source and target of "multi30k:de-en"; none of "multi30k", which leaves it to the data set."""
    base, colon, variant = name.partition(":")
    parts = variant.split("-") if colon else []
    if colon and (len(parts) != len(kind.variants) or not all(parts)):
        form = "-".join(part.upper() for part in kind.variants)
        raise UserError(f"{name}: expected {base}:{form}, such as {base}:de-en")
    return parts


def _function(spec: str) -> Callable[..., Any]:
    module, _, function = spec.partition(":")
    return getattr(import_module(module), function)


def _known(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that is meant; "-" and "_" are the same."""
    return next((known for known in names if known.replace("_", "-") == name.replace("_", "-")), None)


def _nothing_there(name: str, kind: Kind) -> UserError:
    near = get_close_matches(name, kind.named, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known names: {', '.join(kind.named)}"
    return UserError(f"there is no {kind.what} {name!r} and no such file; {hint}")
