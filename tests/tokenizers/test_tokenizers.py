"""Every tokenizer gives back what it was given, also after a trip through JSON."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.errors import MissingExtra, UserError
from allyouneed.tokenizers import Bytes, Characters, Pretrained, from_dict


def trained():
    """A small byte-level BPE tokenizer."""
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    tokenizer.train_from_iterator(["low lower lowest new newer newest wide wider widest"] * 50, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


@pytest.fixture(scope="module")
def pretrained():
    return Pretrained(trained().to_str())


@given(st.text())
def test_bytes_give_back_any_text(text):
    ids = Bytes().encode(text)
    assert ids == list(text.encode())
    assert Bytes().decode(ids) == text


def test_a_cut_character_is_shown_and_no_error():
    assert Bytes().decode("aü".encode()[:-1]) == "a\ufffd"


@given(st.text(min_size=1))
def test_characters_give_back_any_text_of_their_alphabet(text):
    tokenizer = Characters.of(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert set(ids) == set(range(tokenizer.vocab_size))


def test_characters_refuse_what_they_do_not_have():
    with pytest.raises(ValueError, match="'x' is not in the alphabet 'abc'"):
        Characters("abc").encode("axb")
    with pytest.raises(ValueError, match="'b' more than once"):
        Characters("abcb")


def test_a_pretrained_tokenizer_adds_and_skips_nothing(pretrained):
    assert pretrained.vocab_size == trained().get_vocab_size() > 256
    ids = pretrained.encode("lower ünd <s>newest")
    assert ids[0] != 0
    assert 0 in ids
    assert max(ids) < pretrained.vocab_size
    assert len(ids) < len(b"lower nd newest")
    assert pretrained.decode(ids) == "lower ünd <s>newest"


def test_every_kind_survives_json(pretrained):
    for tokenizer in (Bytes(), Characters("abc "), pretrained):
        again = from_dict(json.loads(json.dumps(tokenizer.to_dict())))
        assert type(again) is type(tokenizer)
        assert again.encode("a b c") == tokenizer.encode("a b c")
        assert again.vocab_size == tokenizer.vocab_size


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(
        ValueError, match="'morse'; known kinds: bytes, characters, checkpoint, pretrained, sentencepiece"
    ):
        from_dict({"kind": "morse"})


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"not a tokenizer\.json"):
        Pretrained.from_file(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match=r"cannot read .*missing\.json"):
        Pretrained.from_file(tmp_path / "missing.json")


def test_a_tokenizer_is_read_from_its_file(tmp_path, pretrained):
    (tmp_path / "tokenizer.json").write_text(trained().to_str(), encoding="utf-8")
    assert Pretrained.from_file(tmp_path / "tokenizer.json").encode("newest") == pretrained.encode("newest")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"allyouneed\[tokenizers\]"):
        Pretrained("{}")
