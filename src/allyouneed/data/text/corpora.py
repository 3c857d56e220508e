"""Text that every install already has: the source code, and the documentation in it, of four packages.

Nothing is downloaded. With the pinned versions the text is the same on every machine; elsewhere a warning says that
it differs, and the corpus' version says so to whoever compares numbers.
"""

import ast
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from allyouneed.data.cache import cache_dir
from allyouneed.data.documents import Document
from allyouneed.data.pinned import versions, warn_unless_pinned
from allyouneed.data.text.build import built_corpus
from allyouneed.data.text.corpus import Corpus

PACKAGES = ("sympy", "networkx", "scipy", "numpy")

# The versions of the text under the pinned versions of the packages (constraints.txt).
PINNED = {
    "python_code": "203bf760f00d3a735194fd7b2626be30aa7f6e57795169939a8e7882f634d4fa",
    "english_prose": "6c907e09126db230ccdc0c86a9b978e75fb23c8098c6388349199a6ec622bba7",
}

_RULES = 1  # raise when a change of this module or of build.py changes the text

# Files at the top of a package that whoever builds its wheel writes or patches, for each platform anew.
_PATCHED = {"__init__.py", "__config__.py", "_distributor_init.py", "_distributor_init_local.py", "version.py"}

# Folders that only some Python versions get.
_OPTIONAL = {("numpy", "distutils")}


def python_code() -> Corpus:
    """The source of sympy, networkx, scipy and numpy without their tests, as bytes: about 37 MB.

    Split by file; made once, in a second or two, and mapped from the cache afterwards.
    """
    return _builtin("python_code", source_files)


def english_prose() -> Corpus:
    """The documentation of public modules, classes and functions in the same packages, as bytes.

    Each docstring is a document of its own, all those of a file in one split. Made once, in about ten seconds.
    """
    return _builtin("english_prose", docstrings)


def source_files(packages: Iterable[str] = PACKAGES) -> Iterator[Document]:
    """The Python files of installed packages in the order of their paths, tests and per-platform files left out."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"the built-in text needs {package}, which is not installed", name=package)
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).parts):
            inside = path.relative_to(root.parent)
            if _belongs(inside):
                yield Document(inside.as_posix(), "", path.read_bytes().replace(b"\r\n", b"\n"))


def docstrings(packages: Iterable[str] = PACKAGES) -> Iterator[Document]:
    """The cleaned docstrings of the same files, in the order of the source."""
    for file in source_files(packages):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # invalid escapes in somebody else's strings
            warnings.simplefilter("ignore", DeprecationWarning)
            module = ast.parse(file.content)
        for name, node in _public(module):
            if text := ast.get_docstring(node, clean=False):
                yield Document(file.file, name, inspect.cleandoc(text).encode("utf-8"))


def _builtin(name: str, documents: Callable[[], Iterable[Document]]) -> Corpus:
    key = {"rules": _RULES, "packages": versions(PACKAGES)}
    corpus = built_corpus(cache_dir() / "corpora", name, key, documents)
    warn_unless_pinned(name, corpus.version, PINNED[name], PACKAGES)
    return corpus


def _belongs(path: Path) -> bool:
    """Whether a file of a package, its path beginning with the package's name, is part of the text."""
    folders, name = path.parts[:-1], path.name
    if "tests" in folders or name.startswith("test_") or name == "conftest.py":
        return False
    return folders[:2] not in _OPTIONAL and not (len(folders) == 1 and name in _PATCHED)


def _public(
    module: ast.Module,
) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The module and every class and function that can be reached from it by public names, with these names."""
    yield "", module
    waiting: list[tuple[str, ast.AST]] = [("", child) for child in reversed(module.body)]
    while waiting:
        prefix, node = waiting.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            name = f"{prefix}{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                waiting.extend((f"{name}.", child) for child in reversed(node.body))
        elif isinstance(node, ast.If | ast.Try | ast.With):  # definitions under a condition
            waiting.extend((prefix, child) for child in reversed(list(ast.iter_child_nodes(node))))
