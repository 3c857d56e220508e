"""Names and paths that become corpora and pairs."""

import gzip
import hashlib
import os

import pytest

from allyouneed.data import is_built_in, kind_of, open_data, registry
from allyouneed.data.datasets import Dataset, File
from allyouneed.data.text import files as text_files
from allyouneed.errors import UserError

GIVEN = os.environ.get("ALLYOUNEED_DATA")  # read before the room's fixture hides it
needs_data = pytest.mark.skipif(not GIVEN, reason="ALLYOUNEED_DATA names no folder of public data")


@pytest.fixture
def given(monkeypatch):
    monkeypatch.setenv("ALLYOUNEED_DATA", GIVEN)


def as_bytes(corpus):
    return [getattr(corpus, split).tokens.tobytes() for split in ("train", "tune", "test")]


def test_a_file_is_split_by_position(tmp_path):
    content = "ein schöner Tag\n".encode() * 100
    (tmp_path / "day.txt").write_bytes(content)
    corpus = open_data(str(tmp_path / "day.txt"))
    assert corpus.name == "day.txt"
    assert b"".join(as_bytes(corpus)) == content
    assert [len(split) for split in as_bytes(corpus)] == [1530, 85, 85]
    assert corpus.tokenizer.decode(corpus.train.tokens[:16].tolist()) == "ein schöner Tag"


def test_the_version_changes_with_the_text_and_not_with_its_name(tmp_path):
    for name, content in (("a", "x" * 99), ("b", "x" * 99), ("c", "x" * 98 + "y")):
        (tmp_path / name).write_text(content)
    a, b, c = (open_data(str(tmp_path / name)).version for name in "abc")
    assert a == b != c


def test_a_folder_is_split_by_file_without_hidden_and_repeated_ones(tmp_path):
    for i in range(200):
        path = tmp_path / f"part{i % 7}" / f"{i}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"document {i % 150}")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    splits = [split.split(b"\0")[:-1] for split in as_bytes(open_data(str(tmp_path)))]
    assert sorted(document for split in splits for document in split) == sorted(b"document %d" % i for i in range(150))
    assert len(splits[0]) > 100
    assert all(splits)


def test_what_is_no_text_is_left_out_and_named(tmp_path):
    for i in range(100):
        (tmp_path / f"{i}.txt").write_text(f"document {i}")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\xff\xfe")
    (tmp_path / "zeros").write_bytes(b"a\0b")
    with pytest.warns(UserWarning, match=r"not UTF-8 text: image.png, zeros$"):
        corpus = open_data(str(tmp_path))
    assert b"PNG" not in b"".join(as_bytes(corpus))


def test_a_folder_of_two_files_is_split_by_position_and_says_so(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 500)
    (tmp_path / "b.txt").write_text("b" * 499)
    with pytest.warns(UserWarning, match="too few files"):
        corpus = open_data(str(tmp_path))
    assert [len(split) for split in as_bytes(corpus)] == [900, 50, 51]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"abc", "too small to be split"),
        (b"x" * 5000 + b"\xff", r"not UTF-8 text: .* near byte 5000"),
        (b"x" * 5000 + b"\0y", "byte 5000 is 0"),
        ("ü".encode() * 500 + b"\xc3", "not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_names_it(tmp_path, content, message):
    (tmp_path / "file.txt").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        open_data(str(tmp_path / "file.txt"))
    assert "file.txt" in str(error.value)


def test_a_character_across_two_chunks_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_CHUNK", 7)
    (tmp_path / "file.txt").write_bytes("ü€😀".encode() * 50)
    assert b"".join(as_bytes(open_data(str(tmp_path / "file.txt")))).decode() == "ü€😀" * 50


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no UTF-8 text in .*empty"):
        open_data(str(tmp_path / "empty"))


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(UserError, match=r"'python_cod' and no such file; did you mean python_code"):
        open_data("python_cod")
    with pytest.raises(UserError, match=r"'/no/such/file' and no such file; known names: .*wikitext-2"):
        open_data("/no/such/file")


def test_a_wikitext_without_its_train_file_uses_the_valid_one_and_says_so(tmp_path, monkeypatch):
    valid, test = b"valid words \n" * 100, b"test words \n" * 100
    files = tuple(
        File(name, "http://127.0.0.1:9/", sha256=hashlib.sha256(content).hexdigest())
        for name, content in (("train.txt", b"?"), ("valid.txt", valid), ("test.txt", test))
    )
    monkeypatch.setattr(registry, "DATASETS", (Dataset("wikitext-2", files, "", ""),))
    monkeypatch.setenv("ALLYOUNEED_DATA", str(tmp_path))
    (tmp_path / "wikitext-2").mkdir()
    (tmp_path / "wikitext-2" / "valid.txt.gz").write_bytes(gzip.compress(valid))
    (tmp_path / "wikitext-2" / "test.txt").write_bytes(test)
    for _ in range(2):  # the second time valid.txt is in the cache as well
        with pytest.warns(UserWarning, match="train is the first 90 % of valid.txt"):
            corpus = open_data("wikitext-2")
        assert as_bytes(corpus) == [valid[:1170], valid[1170:], test]
    (tmp_path / "wikitext-2" / "train.txt").write_bytes(b"?")
    assert as_bytes(open_data("wikitext_2")) == [b"?", valid, test]


def test_unknown_pairs_and_languages_are_named():
    with pytest.raises(UserError, match=r"no sentence pairs 'wmt14' and no such file; known names: .*multi30k"):
        open_data("wmt14", "pairs")
    with pytest.raises(UserError, match=r"'number_word:en-de' and no such file; did you mean number_words"):
        open_data("number_word:en-de", "pairs")
    with pytest.raises(UserError, match="no language 'it'; it has de, en, fr"):
        open_data("multi30k:en-it", "pairs")


@pytest.mark.parametrize("name", ["multi30k:", "multi30k:de", "multi30k:-de", "multi30k:de-", "multi30k:de-en-fr"])
def test_languages_are_two_or_none(name):
    with pytest.raises(UserError, match=f"{name}: expected multi30k:SOURCE-TARGET, such as multi30k:de-en"):
        open_data(name, "pairs")


def test_data_of_the_other_kind_are_refused_with_the_choice():
    for name in ("multi30k", "number_words:de-en", "date-words"):
        with pytest.raises(UserError, match=rf"{name} is sentence pairs, and this needs running text: python_code, "):
            open_data(name)
    with pytest.raises(
        UserError, match=r"tinyshakespeare is running text, and this needs sentence pairs: number_words, "
    ):
        open_data("tinyshakespeare", "pairs")


def test_a_name_tells_its_kind_and_whether_it_is_built_in():
    assert {kind_of(name) for name in ("number-words", "multi30k:de-en", "date_words:en-fr", "a/mine.tsv")} == {"pairs"}
    assert {kind_of(name) for name in ("python_code", "wikitext_2", "a/mine.txt", "nothing")} == {"text"}
    assert all(is_built_in(name) for name in ("number_words:fr-de", "date-words", "python_code", "english_prose"))
    assert not any(is_built_in(name) for name in ("multi30k", "tinyshakespeare", "mine.tsv"))


@needs_data
def test_the_real_shakespeare_is_the_pinned_one(given):
    corpus = open_data("tinyshakespeare")
    assert [len(split) for split in as_bytes(corpus)] == [1_003_854, 55_770, 55_770]
    assert as_bytes(corpus)[0].startswith(b"First Citizen:")


@needs_data
def test_the_real_captions_come_in_pairs(given):
    captions = open_data("multi30k", "pairs")
    assert [len(captions.train), len(captions.tune), len(captions.test)] == [29_000, 1_014, 1_000]
    assert captions.train[0][0].startswith("Two young, White males")
    assert captions.train[0][1].startswith("Zwei junge weiße Männer")
    turned = open_data("multi30k:de-en", "pairs")
    assert turned.test == [(target, source) for source, target in captions.test]


@needs_data
@pytest.mark.filterwarnings("ignore:wikitext-2 without")
def test_the_real_wikitext_opens(given):
    assert len(open_data("wikitext-2").test) == 1_256_449
