"""A user's own file of sentence pairs."""

import pytest

from allyouneed.data import open_data
from allyouneed.errors import UserError


def write(path, lines):
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
    return str(path)


def splits(pairs):
    return [pairs.train, pairs.tune, pairs.test]


def test_every_pair_is_in_one_split_and_translations_of_a_sentence_stay_together(tmp_path):
    lines = [f"sentence {i % 400}\tSatz {i % 500} ü" for i in range(2000)]
    pairs = open_data(write(tmp_path / "mine.tsv", lines), "pairs")
    assert pairs.name == "mine.tsv"
    assert sorted(pair for split in splits(pairs) for pair in split) == sorted(
        {tuple(line.split("\t")) for line in lines}
    )
    sources = [{source for source, _ in split} for split in splits(pairs)]
    assert sum(map(len, sources)) == 400
    assert [len(part) / 400 for part in sources] == pytest.approx([0.9, 0.05, 0.05], abs=0.04)


def test_a_pair_stays_in_its_split_when_others_come_and_the_version_tells_the_content(tmp_path):
    lines = [f"sentence {i}\tSatz {i}" for i in range(500)]
    few = open_data(write(tmp_path / "few.tsv", lines[:300]), "pairs")
    many = open_data(write(tmp_path / "many.tsv", lines), "pairs")
    same = open_data(write(tmp_path / "same.tsv", lines[:300]), "pairs")
    assert all(set(part) <= set(whole) for part, whole in zip(splits(few), splits(many)))
    assert few.version == same.version != many.version


def test_empty_lines_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    lines = ["\ufeffthe first\tder erste\r", "", " \t ", *(f"{i}\t{i}\r" for i in range(300)), ""]
    pairs = open_data(write(tmp_path / "excel.tsv", lines), "pairs")
    every = [pair for split in splits(pairs) for pair in split]
    assert len(every) == 301
    assert ("the first", "der erste") in every
    assert ("7", "7") in every


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("only one language", r"mine\.tsv:3: expected source<TAB>target, found 1 columns"),
        ("one\teins\tCC-BY", r"mine\.tsv:3: expected source<TAB>target, found 3 columns"),
        ("one\t ", r"mine\.tsv:3: the target is empty"),
        ("\teins", r"mine\.tsv:3: the source is empty"),
        (b"one\t\xff", r"mine\.tsv:3: not UTF-8 text: invalid start byte"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        open_data(write(tmp_path / "mine.tsv", ["a\tb", "", line, "c\td"]), "pairs")


def test_too_few_pairs_and_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UserError, match=r"few.tsv has too few pairs: none falls into the tune split"):
        open_data(write(tmp_path / "few.tsv", ["a\tb"] * 1000), "pairs")
    with pytest.raises(UserError, match=r"too few pairs"):
        open_data(write(tmp_path / "empty.tsv", []), "pairs")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        open_data(str(tmp_path), "pairs")
