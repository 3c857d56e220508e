"""Pieces of text, joined, are the text of all tokens, and none of them is taken back."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.tokenizers import Bytes, Incremental, load

from .folders import TEXTS, bert_folder, gpt2_folder, json_folder, llama_folder, t5_folder, write

KINDS = {"gpt2": gpt2_folder, "bert": bert_folder, "json": json_folder, "llama": llama_folder, "t5": t5_folder}


def llama_json_folder(folder):
    """Llama's pieces as a tokenizer.json, whose decoder turns a run with one bad byte into U+FFFD wholly."""
    package = pytest.importorskip("tokenizers")
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abc", "▁a"]
    tokenizer = package.Tokenizer(
        package.models.BPE({name: i for i, name in enumerate(names)}, [("▁", "a")], byte_fallback=True)
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    decoders = package.decoders
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return write(folder, tokenizer__json=tokenizer.to_str(), tokenizer_config__json={"bos_token": "<s>"})


KINDS["llama json"] = llama_json_folder


@functools.cache
def tokenizer(kind, folder):
    """A tokenizer, and those of its tokens that are short or no text of their own."""
    ours = load(KINDS[kind](folder))
    return ours, [i for i in range(ours.vocab_size) if len(ours.decode([i])) < 2]


def pieces(stream, ids):
    return [*map(stream.push, ids), stream.finish()]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), skip=st.booleans())
@pytest.mark.parametrize("kind", KINDS)
def test_any_tokens(tmp_path_factory, kind, data, skip):
    """Also those that no text has: cut characters, stray bytes, spaces and special tokens anywhere."""
    ours, short = tokenizer(kind, tmp_path_factory.getbasetemp() / f"stream {kind}")
    tokens = st.one_of(st.integers(0, ours.vocab_size + 1), st.sampled_from([*short, *range(5)]))
    ids = data.draw(st.lists(tokens, max_size=40))
    assert "".join(pieces(ours.incremental(skip_special=skip), ids)) == ours.decode(ids, skip_special=skip)


@settings(max_examples=100, deadline=None)
@given(text=st.text())
@pytest.mark.parametrize("kind", KINDS)
def test_any_text(tmp_path_factory, kind, text):
    ours, _ = tokenizer(kind, tmp_path_factory.getbasetemp() / f"stream {kind}")
    ids = ours.encode(text, special=True)
    assert "".join(pieces(ours.incremental(skip_special=False), ids)) == ours.decode(ids)


@given(st.binary(max_size=30))
def test_any_bytes(ids):
    assert "".join(pieces(Incremental(Bytes().decode), ids)) == Bytes().decode(ids)


@given(st.lists(st.sampled_from("  ab")))
def test_a_decoder_that_drops_all_leading_spaces(characters):
    def decode(ids):
        return "".join(map(chr, ids)).lstrip(" ")

    ids = list(map(ord, characters))
    assert "".join(pieces(Incremental(decode), ids)) == decode(ids)


def test_a_character_comes_when_it_is_complete():
    assert pieces(Incremental(Bytes().decode), "aé€".encode()) == ["a", "", "é", "", "", "€", ""]
    assert pieces(Incremental(Bytes().decode), b"a\xe2\x82") == ["a", "", "", "\ufffd"]
    assert pieces(Incremental(Bytes().decode), b"a\xe2\x82b") == ["a", "", "", "\ufffdb", ""]


@pytest.mark.parametrize("kind", ["gpt2", "bert", "llama", "t5"])
def test_plain_text_is_not_held(tmp_path, kind):
    ours = load(KINDS[kind](tmp_path))
    ids = ours.encode("hello world and the quick brown fox")
    told = pieces(ours.incremental(), ids)
    assert told[-1] == ""
    first = 1 if told[0] == "" else 0  # a first piece that is only a space has no text
    assert all(told[first:-1])


def test_a_run_of_byte_tokens_is_held_until_it_ends(tmp_path):
    ours = load(llama_json_folder(tmp_path))
    euro = [3 + byte for byte in "€".encode()]
    b = ours.encode("b")[-1]
    assert pieces(ours.incremental(), [b, *euro, b]) == ["b", "", "", "", "€b", ""]
    assert pieces(ours.incremental(), [b, *euro, euro[0], b]) == ["b", "", "", "", "", "\ufffd" * 4 + "b", ""]
    skipped, letter = ours.special_tokens["bos"], 3 + ord("A")
    assert pieces(ours.incremental(), [letter, skipped, euro[0]]) == ["", "", "", "\ufffd\ufffd"]


def test_a_token_costs_the_same_late_and_early(tmp_path):
    ours, lengths = load(gpt2_folder(tmp_path)), []

    def decode(ids):
        lengths.append(len(ids))
        return ours.decode(ids)

    ids = ours.encode("".join(TEXTS) * 20)
    assert "".join(pieces(Incremental(decode), ids)) == ours.decode(ids)
    assert max(lengths) < 60 < len(ids) / 20  # the longest run of U+FFFD-ended prefixes in TEXTS
