"""A folder's tokenizer is found, named in full and copied; a damaged one is an error that names it."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.errors import MissingExtra, UserError
from allyouneed.tokenizers import Tokenizer, copy, from_dict, load
from allyouneed.tokenizers.checkpoint import _whole_characters

from .folders import (
    TEXTS,
    bert_folder,
    byte_level,
    gpt2_folder,
    json_folder,
    llama_folder,
    sentence_pieces,
    t5_folder,
    write,
)

WRITERS = {"gpt2": gpt2_folder, "bert": bert_folder, "llama": llama_folder, "t5": t5_folder, "json": json_folder}


def added(text, **flags):
    return {"content": text, "special": True, "lstrip": False, "rstrip": False, "normalized": False, **flags}


@pytest.mark.parametrize("kind", WRITERS)
def test_it_survives_json_and_is_a_tokenizer(tmp_path, kind):
    ours = load(WRITERS[kind](tmp_path, chat_template="hello", added_tokens_decoder={}))
    assert isinstance(ours, Tokenizer)
    again = from_dict(json.loads(json.dumps(ours.to_dict())))
    assert again.to_dict() == ours.to_dict()
    for text in [*TEXTS, "<extra_id_3>"]:
        assert again.encode(text, special=True) == ours.encode(text, special=True)
    vocabulary = from_dict(ours.to_dict()["vocabulary"])
    assert vocabulary.encode("hello") == ours.encode("hello")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_copy_is_the_same_tokenizer(tmp_path, kind):
    folder = WRITERS[kind](tmp_path / "from", bos_token="e")
    write(folder, special_tokens_map__json={"eos_token": "o"}, chat_template__jinja="hello", model__safetensors="x")
    write(folder / "additional_chat_templates", rag__jinja="named")
    copied = copy(folder, tmp_path / "to")
    assert sorted(path for path in (tmp_path / "to").rglob("*") if path.is_file()) == sorted(copied)
    assert not (tmp_path / "to" / "model.safetensors").exists()
    assert load(tmp_path / "to").to_dict() | {"source": ""} == load(folder).to_dict() | {"source": ""}
    assert load(tmp_path / "to").chat([{"role": "user", "content": ""}], template="rag") == "named"


def test_special_tokens_by_role(tmp_path):
    assert set(load(bert_folder(tmp_path / "bert")).special_tokens) == {"unk", "sep", "pad", "cls", "mask"}
    assert load(llama_folder(tmp_path / "llama")).special_tokens == {"unk": 0, "bos": 1, "eos": 2}
    assert load(t5_folder(tmp_path / "t5")).special_tokens == {"pad": 0, "eos": 1, "unk": 2}
    assert load(json_folder(tmp_path / "json")).special_tokens == {}
    ours = load(json_folder(tmp_path / "json", eos_token="</s>", pad_token=added("<s>"), unk_token="nowhere"))
    assert ours.special_tokens == {"eos": ours.encode("</s>")[0], "pad": ours.encode("<s>")[0]}
    assert load(llama_folder(tmp_path / "llama", bos_token=None)).special_tokens == {"unk": 0, "eos": 2}


def test_the_special_tokens_map_counts_without_added_tokens_decoder(tmp_path):
    folder = write(llama_folder(tmp_path, eos_token="</s>"), special_tokens_map__json={"eos_token": {"content": "<s>"}})
    assert load(folder).special_tokens["eos"] == 1
    llama_folder(tmp_path, eos_token="</s>", added_tokens_decoder={})
    assert load(folder).special_tokens["eos"] == 2


def test_gpt2_and_bert_say_nowhere_what_their_special_tokens_are(tmp_path):
    """Their own folders have a tokenizer.json and next to nothing in tokenizer_config.json."""
    write(gpt2_folder(tmp_path), config__json={"model_type": "gpt2"})
    description = load(tmp_path).vocabulary.to_dict()["description"]
    write(tmp_path, tokenizer__json=description, tokenizer_config__json={"model_max_length": 1024})
    end = json.loads(byte_level()[0])["<|endoftext|>"]
    assert load(tmp_path).special_tokens == {"bos": end, "eos": end, "unk": end}


def test_what_ends_an_answer(tmp_path):
    folder = llama_folder(tmp_path)
    assert load(folder).eos_ids == (2,)
    for said, expected in ((None, (2,)), (7, (2, 7)), ([5, 2, 9], (2, 5, 9))):
        assert load(write(folder, generation_config__json={"eos_token_id": said})).eos_ids == expected


@pytest.mark.parametrize("kind", ["gpt2", "bert", "llama"])
def test_added_tokens(tmp_path, kind):
    size = load(WRITERS[kind](tmp_path)).vocab_size
    texts = [added("<|user|>"), added("<|end|>", rstrip=True), added("<tab>", special=False), added("<l>", lstrip=True)]
    ours = load(WRITERS[kind](tmp_path, added_tokens_decoder=dict(enumerate(texts, size))))
    assert ours.vocab_size == size + 4
    ids = ours.encode("<|user|>hello<|end|>  world<tab>")
    assert [i - size for i in ids if i >= size] == [0, 1, 2]
    assert len(ours.encode("<|end|>   ")) == len(ours.encode(" \n <l>")) == 1
    assert "<|user|>" in ours.decode(ids)
    assert "<|user|>" not in ours.decode(ids, skip_special=True)
    assert "<tab>" in ours.decode(ids, skip_special=True)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_added_tokens_of_older_checkpoints(tmp_path, kind):
    size = load(WRITERS[kind](tmp_path)).vocab_size
    write(WRITERS[kind](tmp_path, pad_token="<pad>"), added_tokens__json={"<x>": size + 1, "<pad>": size})
    ours = load(tmp_path)
    assert ours.special_tokens["pad"] == size
    assert ours.decode([size, size + 1], skip_special=True) == "<x>"
    assert ours.encode("<x><pad>") == [size + 1, size]


@pytest.mark.parametrize("named", [["hello", "e"], {"image_token": "hello", "end_token": {"content": "e"}}])
def test_further_special_tokens_are_found_whole_and_skipped(tmp_path, named):
    ours = load(json_folder(tmp_path, extra_special_tokens=named))
    assert len(ours.encode("hello")) == 1
    assert ours.decode(ours.encode("new hello"), skip_special=True) == "nw "
    assert load(json_folder(tmp_path)).encode("newer") != ours.encode("newer")  # in which both e stand alone


def test_an_added_token_of_another_vocabulary_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"'<new>' should have the id 9999 but gets \d+"):
        load(gpt2_folder(tmp_path, added_tokens_decoder={9999: added("<new>")}))


def test_of_two_added_tokens_at_one_place_the_longer_is_found(tmp_path):
    size = load(llama_folder(tmp_path)).vocab_size
    ours = load(llama_folder(tmp_path, added_tokens_decoder={size: added("<a"), size + 1: added("<a>")}))
    assert ours.encode("<a><a") == [size + 1, size]


def test_ids_of_padding_rows_are_no_text(tmp_path):
    for kind in ("gpt2", "llama"):
        ours = load(WRITERS[kind](tmp_path / kind))
        assert ours.decode([*ours.encode("hello"), ours.vocab_size + 5]) == "hello"


def test_a_model_that_puts_no_space_before_a_text(tmp_path):
    """As Gemma's: what is decoded keeps its first space."""
    model = sentence_pieces(model_type="bpe", add_dummy_prefix=False, remove_extra_whitespaces=False)
    ours = load(write(tmp_path, tokenizer__model=model))
    for text in ("hello world", " hello", "the</s> fox"):
        assert ours.decode(ours.encode(text)) == text
    assert ours.encode("hello") != ours.encode(" hello")


def test_bytes_that_are_no_character_are_one_replacement_each(tmp_path):
    ours = load(llama_folder(tmp_path))
    stray = [ours.vocabulary.index(f"<0x{byte:02X}>") for byte in (0xE2, 0x82, 0x41, 0xC3, 0xA9)]
    assert ours.decode(stray) == "\ufffd\ufffdAé"


@pytest.mark.parametrize("kind", WRITERS)
def test_half_a_surrogate_pair_is_a_replacement_character(tmp_path, kind):
    ours = load(WRITERS[kind](tmp_path))
    assert ours.encode("a\ud800b\udfff", special=True) == ours.encode("a\ufffdb\ufffd", special=True)
    assert ours.encode("\ud83d\ude00") == ours.encode("😀")


@given(st.text(st.characters(codec=None), max_size=8))
def test_any_string_becomes_text_and_text_stays(string):
    text = _whole_characters(string)
    text.encode()
    assert text.count("\ufffd") - string.count("\ufffd") <= sum("\ud800" <= c <= "\udfff" for c in string)
    assert _whole_characters(text) == text
    if not any("\ud800" <= c <= "\udfff" for c in string):
        assert text == string


def test_a_folder_without_a_tokenizer_says_what_was_looked_for(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    for act in (load, lambda folder: copy(folder / "empty", tmp_path)):
        with pytest.raises(UserError) as caught:
            act(tmp_path)
        for name in ("tokenizer.json", "vocab.json with merges.txt", "encoder.json with vocab.bpe", "vocab.txt"):
            assert name in str(caught.value)
        assert "tokenizer.model; spiece.model" in str(caught.value)
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("json", "tokenizer.json", b"{"),
        ("json", "tokenizer.json", b"\xff"),
        ("json", "tokenizer.json", b'{"version": "1.0"}'),
        ("gpt2", "vocab.json", b'{"a": '),
        ("gpt2", "merges.txt", b"a b c\n"),
        ("gpt2", "merges.txt", b"zz yy\n"),
        ("bert", "vocab.txt", b"\xff\n"),
        ("bert", "vocab.txt", b"a\nb\n"),
        ("llama", "tokenizer.model", b""),
        ("llama", "tokenizer.model", b"version https://git-lfs.github.com/spec/v1\n"),
        ("t5", "spiece.model", b"\0" * 99),
        ("llama", "tokenizer_config.json", b'{"a": '),
        ("llama", "tokenizer_config.json", b"[]"),
        ("bert", "special_tokens_map.json", b"1"),
        ("gpt2", "generation_config.json", b"{"),
        ("json", "added_tokens.json", b"[1]"),
        ("json", "chat_template.jinja", b"\xff"),
        ("json", "chat_template.json", b"{"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, kind, name, content):
    folder = WRITERS[kind](tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        load(folder)


def test_a_truncated_model_is_refused(tmp_path):
    folder = llama_folder(tmp_path)
    whole = (folder / "tokenizer.model").read_bytes()
    (folder / "tokenizer.model").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"tokenizer\.model.*not a SentencePiece model"):
        load(folder)


def test_settings_of_another_form_are_an_error_too(tmp_path):
    for config in ({"added_tokens_decoder": []}, {"unk_token": None}, {"chat_template": [{"name": "x"}]}):
        with pytest.raises(UserError, match=r"cannot read the tokenizer in .*vocab\.txt"):
            load(bert_folder(tmp_path, **config))


@pytest.mark.parametrize(
    ("kind", "named"), [("gpt2", "Qwen2Tokenizer"), ("bert", "MPNetTokenizerFast"), ("t5", "AlbertTokenizer")]
)
def test_files_that_do_not_say_how_their_family_cuts_a_text_are_refused(tmp_path, kind, named):
    folder = WRITERS[kind](tmp_path, tokenizer_class=named)
    with pytest.raises(UserError, match=rf"of the family '{named.split('Token')[0].lower()}'.*tokenizer\.json"):
        load(folder)
    WRITERS[kind](tmp_path)
    write(folder, config__json={"model_type": "roberta"})
    with pytest.raises(UserError, match="of the family 'roberta'"):
        load(folder)
    json_folder(tmp_path, tokenizer_class=named)
    assert load(folder).encode("hello")


@pytest.mark.parametrize(("kind", "package"), [("gpt2", "tokenizers"), ("llama", "sentencepiece")])
def test_without_a_package_its_extra_is_named(tmp_path, monkeypatch, kind, package):
    folder = WRITERS[kind](tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"allyouneed\[{package}\]"):
        load(folder)


def test_nothing_heavy_is_imported_before_it_is_used():
    heavy = "('torch', 'numpy', 'tokenizers', 'sentencepiece', 'jinja2', 'transformers')"
    program = f"import sys, allyouneed.tokenizers; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
