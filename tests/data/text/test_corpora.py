"""The built-in text: what is in it, that its splits share nothing, that it is built once and whole."""

import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from allyouneed.data.documents import Document, split_of
from allyouneed.data.text import build, corpora
from allyouneed.data.text.build import built_corpus
from allyouneed.data.text.corpora import docstrings, source_files

SPLITS = ("train", "tune", "test")


@pytest.fixture(scope="module")
def code():
    return list(source_files(["networkx"]))


def contents(text):
    return text.tokens.tobytes().split(b"\0")[:-1]


def test_the_built_in_code_is_the_pinned_one_and_no_document_lies_in_two_splits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other versions of the packages are no fault of the code
        corpus = corpora.python_code()
    splits = [contents(getattr(corpus, split)) for split in SPLITS]
    assert len(set().union(*splits)) == sum(len(split) for split in splits)
    total = sum(len(getattr(corpus, split)) for split in SPLITS)
    for split, share in zip(SPLITS, (0.9, 0.05, 0.05)):
        assert len(getattr(corpus, split)) / total == pytest.approx(share, abs=0.02)
    assert corpus.vocab_size == 256
    assert 1.5 < corpus.trigram_loss < 2.5


def test_what_is_built_is_mapped_and_never_made_again(tmp_path, code):
    built_corpus(tmp_path, "code", {}, lambda: code)
    again = built_corpus(tmp_path, "code", {}, lambda: pytest.fail("built twice"))
    assert isinstance(again.train.tokens.base, np.memmap)
    assert not again.train.tokens.flags.writeable


def test_tests_and_what_differs_between_machines_are_left_out():
    paths = [document.file for document in source_files()]
    assert "numpy/linalg/_linalg.py" in paths
    assert "sympy/core/basic.py" in paths
    assert not [path for path in paths if "/tests/" in path or path.endswith(("__config__.py", "conftest.py"))]
    assert not {"numpy/__init__.py", "numpy/version.py", "scipy/version.py"} & set(paths)
    assert not [path for path in paths if path.startswith("numpy/distutils/")]
    assert paths == sorted(paths, key=lambda path: (corpora.PACKAGES.index(path.split("/")[0]), path.split("/")))


def test_line_ends_are_the_same_on_every_system(code):
    assert not [document.file for document in code if b"\r\n" in document.content]


def test_docstrings_are_those_of_public_names_cleaned(tmp_path, monkeypatch):
    package = tmp_path / "a_small_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text(
        '"""The module."""\n'
        "class Public:\n"
        '    """A class.\n\n    With a second line.\n    """\n'
        "    def method(self):\n"
        '        """A method."""\n'
        "    def _hidden(self):\n"
        '        """Not shown."""\n'
        "class _Private:\n"
        "    def method(self):\n"
        '        """Not shown either."""\n'
        "if True:\n"
        "    async def conditional():\n"
        '        """Under a condition."""\n'
        "        def inner():\n"
        '            """Nobody can reach it."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = [(document.part, document.content.decode()) for document in docstrings(["a_small_package"])]
    assert found == [
        ("", "The module."),
        ("Public", "A class.\n\nWith a second line."),
        ("Public.method", "A method."),
        ("conditional", "Under a condition."),
    ]


def test_prose_shares_no_docstring_between_splits_and_keeps_a_file_together(tmp_path):
    documents = list(docstrings(["networkx"]))
    corpus = built_corpus(tmp_path, "prose", {}, lambda: documents)
    home = {document.content: split_of(document.file) for document in reversed(documents)}  # where it occurs first
    splits = {split: contents(getattr(corpus, split)) for split in SPLITS}
    assert all(home[content] == split for split in SPLITS for content in splits[split])
    assert sum(len(split) for split in splits.values()) == len(home) > 500


def test_a_package_that_is_missing_is_named():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        list(source_files(["no_such_package"]))


def test_other_text_than_the_recorded_one_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(corpora, "source_files", lambda: [Document(f"{i}.py", "", b"x" * i) for i in range(1, 100)])
    with pytest.warns(UserWarning, match=r"python_code differs here from the recorded one \(sympy") as caught:
        corpora.python_code()
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


def test_the_version_is_that_of_the_content(tmp_path):
    def version(*documents, key=0):
        return built_corpus(tmp_path, "text", {"key": key}, lambda: [Document(*d) for d in documents]).version

    first = version(("a.py", "", b"one"), ("b.py", "", b"two"), key=1)
    assert version(("a.py", "", b"one"), ("b.py", "", b"two"), ("c.py", "", b"one"), key=2) == first  # a repeat
    assert version(("a.py", "", b"one"), ("b.py", "", b"twO"), key=3) != first
    assert version(("b.py", "", b"two"), ("a.py", "", b"one"), key=4) != first
    assert version(("anything", "", b""), key=1) == first  # the key alone says whether to build


def test_the_hash_of_the_path_splits_as_it_should(code):
    shares = [sum(split_of(document.file) == split for document in code) / len(code) for split in SPLITS]
    assert shares == pytest.approx([0.9, 0.05, 0.05], abs=0.04)


@pytest.mark.parametrize("damage", ["truncate", "no record", "bad record"])
def test_a_damaged_build_is_made_again(tmp_path, code, damage):
    whole = built_corpus(tmp_path, "code", {}, lambda: code)
    train = whole.train.tokens.tobytes()
    (data,), (record,) = tmp_path.glob("*.bin"), tmp_path.glob("*.json")
    if damage == "truncate":
        os.truncate(data, 1000)
    elif damage == "no record":
        record.unlink()
    else:
        record.write_text("{")
    build._mapped.cache_clear()
    assert built_corpus(tmp_path, "code", {}, lambda: code).train.tokens.tobytes() == train


def test_a_build_that_fails_leaves_nothing_that_is_taken_for_a_corpus(tmp_path, code):
    def broken():
        yield code[0]
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        built_corpus(tmp_path, "code", {}, broken)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".bin", ".json", ".tmp")]
    assert len(built_corpus(tmp_path, "code", {}, lambda: code).train) > 1000


def test_threads_that_ask_at_once_build_once(tmp_path, code):
    built = []

    def documents():
        built.append(1)
        time.sleep(0.1)
        return code

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(built_corpus, tmp_path, "code", {}, documents) for _ in range(4)]
        versions = {corpus.result().version for corpus in asked}
    assert len(built) == len(versions) == 1


def test_processes_that_ask_at_once_get_the_same_text(cache):
    program = (
        "from pathlib import Path; import sys; from allyouneed.data.text.build import built_corpus\n"
        "from allyouneed.data.text.corpora import source_files\n"
        "print(built_corpus(Path(sys.argv[1]), 'code', {}, lambda: source_files(['networkx'])).version)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(cache)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert outputs[0] == outputs[1]
    assert sorted(path.suffix for path in cache.iterdir() if path.suffix != ".lock") == [".bin", ".json"]


def test_opening_data_imports_no_torch():
    program = (
        "import sys, allyouneed.data, allyouneed.tokenizers; print('torch' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
