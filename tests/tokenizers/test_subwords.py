"""Subwords give back what they were trained on, whatever the size, and never fail on anything else."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.errors import MissingExtra
from allyouneed.tokenizers import from_dict, subwords
from allyouneed.tokenizers.subwords import END, PADDING, START, train_subwords

tokenizers = pytest.importorskip("tokenizers")

TEXTS = ["fünfhundertvierundzwanzig tausend", "five hundred and twenty-four", "  zwei  Leerzeichen\tund mehr \n"] * 3
UNKNOWN = 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(), max_size=6), st.integers(300, 330))
def test_what_was_trained_on_comes_back_exactly(texts, vocab_size):
    tokenizer = train_subwords(texts, vocab_size)
    assert tokenizer.vocab_size <= vocab_size
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert all(UNKNOWN < i < tokenizer.vocab_size for i in ids)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="".join(sorted(set("".join(TEXTS))))))
def test_other_text_of_the_same_characters_comes_back_too(text):
    tokenizer = train_subwords(TEXTS, 60)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_bytes_that_were_never_seen_are_unknown_and_no_error(text):
    tokenizer = train_subwords(["abc"], 7)
    ids = tokenizer.encode(text)
    assert all(UNKNOWN <= i < 7 for i in ids)
    assert tokenizer.decode(ids) == "".join(chr(byte) if byte in b"abc" else "\ufffd" for byte in text.encode())


def test_special_tokens_come_first_and_no_text_can_ask_for_them():
    assert (PADDING, START, END) == (0, 1, 2)
    tokenizer = train_subwords(["<pad> and <start> and <end>"] * 9, 60)
    assert [tokenizer.decode([i]) for i in range(4)] == ["<pad>", "<start>", "<end>", "\ufffd"]
    ids = tokenizer.encode("<end><pad>")
    assert min(ids) > UNKNOWN
    assert tokenizer.decode(ids) == "<end><pad>"
    assert train_subwords(["abc"], 9, special=("<mask>",)).decode([0, 1]) == "<mask>\ufffd"


def test_a_larger_vocabulary_cuts_into_fewer_pieces():
    lengths = [len(train_subwords(TEXTS, size).encode("five hundred and twenty-four")) for size in (40, 60, 90)]
    assert lengths[0] > lengths[1] > lengths[2]
    assert lengths[2] == 6  # five, hundred, and, twenty, -, four
    assert train_subwords(TEXTS, 8000).vocab_size < 120  # there are no more pieces


def test_a_vocabulary_that_cannot_hold_the_bytes_is_refused():
    with pytest.raises(ValueError, match="vocab_size must be at least 7 for these texts, got 6"):
        train_subwords(["abc", "cab"], 6)
    assert train_subwords(["abc", "cab"], 7).vocab_size == 7


def test_it_is_the_same_with_any_number_of_threads_and_in_every_process():
    code = (
        "from allyouneed.tokenizers.subwords import train_subwords\n"
        "texts = [f'{a} {b}{c}' for a in ('one', 'two', 'drei') for b in ('ei', 'ie', 'xy') for c in ('n', 'm', 'ü')]\n"
        "print(train_subwords(texts, 50).to_dict()['description'])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "TOKENIZERS_PARALLELISM": parallel, "RAYON_NUM_THREADS": "3"},
            capture_output=True,
            check=True,
        ).stdout
        for seed, parallel in (("1", "true"), ("2", "false"))
    }
    assert len(said) == 1


@pytest.mark.parametrize("before", [None, "true"])
def test_training_takes_one_thread_and_leaves_the_setting_as_it_was(monkeypatch, before):
    name = "TOKENIZERS_PARALLELISM"
    monkeypatch.delenv(name, raising=False)
    if before:
        monkeypatch.setenv(name, before)
    one_thread, seen = subwords._one_thread, []

    @contextmanager
    def watched():
        with one_thread():
            yield
            seen.append(os.environ[name])

    monkeypatch.setattr(subwords, "_one_thread", watched)
    train_subwords(["abc"], 9)
    assert (seen, os.environ.get(name)) == (["false"], before)


def test_it_survives_json():
    tokenizer = train_subwords(TEXTS, 70)
    again = from_dict(tokenizer.to_dict())
    for text in (*TEXTS, "<end> Ж"):
        assert again.encode(text) == tokenizer.encode(text)
    assert again.vocab_size == tokenizer.vocab_size == 70


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"allyouneed\[tokenizers\]"):
        train_subwords(["abc"], 9)
