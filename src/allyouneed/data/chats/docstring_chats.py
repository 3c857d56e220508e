"""Questions with answers that every install has: what functions of scipy do, and how they are written.

Of a model that was trained on the prose of the other packages (`recipes.prose_base`), answers in prose ask for
something near to what it has read, answers in code for something far from it.
"""

import ast
import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from allyouneed.data.chats.chats import Chat, Chats
from allyouneed.data.documents import Document, without_repeats
from allyouneed.data.pinned import kept_lines
from allyouneed.data.text.corpora import docstrings, source_files

PACKAGE = "scipy"
LONGEST = 1500  # characters of an answer that are kept

# The sha256 of the lines under the pinned version of scipy (constraints.txt).
PINNED = {
    "docstring_chats": "88903570d154b8057ec7f03d5049c2d58c0af720d31d47a80eb6a618584d9e13",
    "code_chats": "4f005631dfbc7ddaa1cc738676ff61d0848d9c414442ba72c3142c4883b0b8e8",
}

_RULES = 1  # raise when a change of this module changes the chats


@lru_cache(maxsize=1)
def docstring_chats() -> Chats:
    """What is asked for is the documentation of a public function or class. Split by file."""
    return _chats("docstring_chats", "Question: what does {} do?\nAnswer: ", _documentation)


@lru_cache(maxsize=1)
def code_chats() -> Chats:
    """What is asked for is the code of a public function, without its documentation. Split by file."""
    return _chats("code_chats", "Question: how is {} written?\nAnswer: ", functions)


def _documentation() -> Iterator[Document]:
    return (document for document in docstrings((PACKAGE,)) if document.part)


def functions() -> Iterator[Document]:
    """The public functions of every module, as they stand in the source but for their docstring."""
    for file in source_files((PACKAGE,)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # invalid escapes in somebody else's strings
            warnings.simplefilter("ignore", DeprecationWarning)
            module = ast.parse(file.content)
        lines = file.content.decode("utf-8").split("\n")
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                first, *rest = node.body
                documented = ast.get_docstring(node) is not None
                if documented and not rest:
                    continue
                head = lines[node.lineno - 1 : first.lineno - 1]
                body = lines[(first.end_lineno or 0) if documented else first.lineno - 1 : node.end_lineno]
                yield Document(file.file, node.name, "\n".join([*head, *body]).encode("utf-8"))


def _chats(name: str, question: str, documents: Callable[[], Iterable[Document]]) -> Chats:
    def lines() -> Iterator[str]:
        for document in without_repeats(documents()):
            module = document.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            answer = document.content.decode("utf-8").strip()[:LONGEST]
            yield json.dumps([document.file, question.format(f"{module}.{document.part}"), answer])

    splits: dict[str, list[Chat]] = {"train": [], "tune": [], "test": []}
    # In an order that mixes the modules, so that the first few of a split speak for all.
    for line in sorted(kept_lines(name, PACKAGE, _RULES, PINNED[name], lines), key=_digest):
        file, prompt, completion = json.loads(line)
        splits[_split(file)].append({"prompt": prompt, "completion": completion})
    return Chats(name, splits["train"], splits["tune"], splits["test"])


def _split(file: str) -> str:
    """70 % train, 10 % tune, 20 % test: of one package, a twentieth would be a handful of files."""
    percent = int.from_bytes(_digest(file)[:8], "big") % 100
    return "train" if percent < 70 else "tune" if percent < 80 else "test"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
