"""An index of a folder: what an update encodes, what a search finds, and that no kill can spoil it."""

import json
import os

import numpy as np
import pytest

from allyouneed.errors import UserError
from allyouneed.retrieval import store
from allyouneed.retrieval.bm25 import words

MODEL = store.Model("toy", "1")
FIRST = {"a.md": b"# Ants\n\nants carry leaves", "b.md": b"bees make honey", "c.txt": b"cats sleep"}
SECOND = {"a.md": b"# Ants\n\nants carry leaves", "b.md": b"bees dance", "d.txt": b"dogs bark at bees"}


class Encode:
    """Words to vectors, by the hash of each; counts the texts that it was given."""

    def __init__(self):
        self.seen = []

    def __call__(self, texts):
        self.seen += texts
        vectors = np.zeros((len(texts), 16), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                vectors[row, sum(word.encode()) % 16] += 1
        return vectors


def make(folder, contents, retriever="hybrid", model=MODEL):
    encode = Encode()
    change = store.update(folder, "docs", contents, retriever, model, None if retriever == "bm25" else encode)
    return change, encode.seen


def found(folder, question, k=3):
    """Places of the hits."""
    stored = store.open_index(folder)
    hits = stored.searcher(Encode() if stored.model else None).search([question], k)
    return [stored.passages[number].place for number in hits.ids[0] if number >= 0]


@pytest.mark.parametrize("retriever", store.RETRIEVERS)
def test_what_is_indexed_is_found(retriever, tmp_path):
    change, _ = make(tmp_path, FIRST, retriever)
    assert change == store.Change(3, 0, 0, 0, passages=3, encoded=0 if retriever == "bm25" else 3)
    assert found(tmp_path, "ants and leaves")[0] == "a.md:3"
    assert found(tmp_path, "honey")[0] == "b.md:1"
    assert store.open_index(tmp_path).passages[0].headings == ("Ants",)
    assert (store.open_index(tmp_path).model is None) == (retriever == "bm25")


def test_an_update_encodes_only_what_is_new(tmp_path):
    make(tmp_path, FIRST)
    change, seen = make(tmp_path, SECOND)
    assert change == store.Change(new=1, changed=1, deleted=1, unchanged=1, passages=3, encoded=2)
    assert seen == ["b\nbees dance", "d\ndogs bark at bees"]
    assert set(found(tmp_path, "cats sleep")) == {"a.md:3", "b.md:1", "d.txt:1"}
    again, seen = make(tmp_path, SECOND)
    assert again == store.Change(0, 0, 0, 3, 3, 0)
    assert not seen
    fresh = tmp_path / "fresh"
    make(fresh, SECOND)
    one, other = store.open_index(tmp_path), store.open_index(fresh)
    assert one.passages == other.passages
    assert (one.vectors == other.vectors).all()
    parts = [
        {f.name for f in folder.iterdir() if f.is_file() and not f.name.startswith(".")} for folder in (tmp_path, fresh)
    ]
    assert parts[0] == parts[1]  # nothing old is left behind


def test_another_model_makes_it_anew(tmp_path):
    make(tmp_path, FIRST)
    change, seen = make(tmp_path, FIRST, model=store.Model("toy", "2"))
    assert len(seen) == change.encoded == 3
    assert store.open_index(tmp_path).model.version == "2"


def killed_at(step, folder, contents):
    """Update in a process that dies, with nothing cleaned up, when it is about to replace its n-th file.

    Returns whether it came so far.
    """
    child = os.fork()
    if child == 0:
        replace, left = os.replace, [step]

        def dying(source, target):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            replace(source, target)

        os.replace = dying
        try:
            make(folder, contents)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_kill_while_writing_leaves_the_old_index_or_the_new_one(tmp_path):
    reached = []
    for step in range(8):
        folder = tmp_path / str(step)
        make(folder, FIRST)
        reached.append(killed_at(step, folder, SECOND))
        files = sorted(store.open_index(folder).files)
        assert files == sorted(FIRST if reached[-1] else SECOND)
        assert found(folder, "cats" if reached[-1] else "dogs")[0] == ("c.txt:1" if reached[-1] else "d.txt:1")
        change, _ = make(folder, SECOND)
        assert change.passages == 3
        assert not list(folder.glob(".*.tmp"))
        assert len(list(folder.glob("passages-*"))) == 1
    assert reached == [True] * 5 + [False] * 3  # four parts and the manifest


def test_a_kill_before_the_first_index_leaves_none(tmp_path):
    assert killed_at(2, tmp_path / "new", FIRST)
    with pytest.raises(UserError, match="there is no index"):
        store.open_index(tmp_path / "new")
    assert make(tmp_path / "new", FIRST)[0].passages == 3


def test_what_was_encoded_before_an_interruption_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_SHARE", 1)
    monkeypatch.setattr(store, "SAVE_SECONDS", -1.0)

    class Tired(Encode):
        def __call__(self, texts):
            if len(self.seen) == 2:
                raise KeyboardInterrupt
            return super().__call__(texts)

    with pytest.raises(KeyboardInterrupt):
        store.update(tmp_path, "docs", FIRST, "dense", MODEL, Tired())
    other, seen = make(tmp_path / "elsewhere", FIRST)
    change, seen = make(tmp_path, FIRST)
    assert change.encoded == len(seen) == 1
    assert other.encoded == 3
    assert (store.open_index(tmp_path).vectors == store.open_index(tmp_path / "elsewhere").vectors).all()
    assert not (tmp_path / store.UNFINISHED).exists()


def test_a_damaged_savings_file_is_not_believed(tmp_path):
    tmp_path.joinpath(store.UNFINISHED).write_bytes(b"\x07" * 40)
    assert make(tmp_path, FIRST)[0].encoded == 3


def test_progress_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_SHARE", 2)
    told = []
    store.update(tmp_path, "docs", FIRST, "dense", MODEL, Encode(), lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (2, 3), (3, 3)]


def test_no_passage_at_all(tmp_path):
    make(tmp_path, {"a.md": b"\n"})
    assert found(tmp_path, "ants") == []


@pytest.mark.parametrize("part", store.PARTS)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_index_says_so(part, damage, tmp_path):
    make(tmp_path, FIRST)
    (file,) = tmp_path.glob(f"{part}-*")
    file.unlink() if damage == "gone" else file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"is damaged .*delete the folder"):
        store.open_index(tmp_path)


def test_what_is_no_index_says_so(tmp_path):
    with pytest.raises(UserError, match="there is no index"):
        store.open_index(tmp_path)
    manifest = tmp_path / store.MANIFEST
    manifest.write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        store.open_index(tmp_path)
    with pytest.raises(UserError, match="format 99"):
        make(tmp_path, FIRST)
    manifest.write_text("my own file")
    with pytest.raises(UserError, match="choose another folder"):
        make(tmp_path, FIRST)
    assert manifest.read_text() == "my own file"
