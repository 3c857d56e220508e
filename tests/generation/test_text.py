"""Text piece by piece: nothing too early, nothing twice, nothing lost."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.blocks import Learned, Rope
from allyouneed.errors import UserError
from allyouneed.generation import Sampling, beam_search, generate, stream_text, write_texts
from allyouneed.generation.text import pieces
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.tokenizers import Bytes

GREEDY = Sampling(temperature=0)


class Says:
    """Not a module: writes the given bytes, and counts its steps."""

    def __init__(self, text):
        self.text, self.steps = text if isinstance(text, bytes) else text.encode(), 0

    def new_state(self, batch_size):
        return -1

    def step(self, tokens, state, mask=None):
        self.steps += 1
        return 99 * torch.nn.functional.one_hot(torch.tensor([self.text[state + 1]]), 256).float(), state + 1


def written(model, **settings):
    return list(stream_text(model, b"go", Bytes(), max_new_tokens=len(model.text), sampling=GREEDY, **settings))


def test_pieces_come_as_soon_as_they_are_certain():
    assert written(Says("abc")) == ["a", "b", "c"]
    assert written(Says("aé€😀!")) == ["a", "é", "€", "😀", "!"]
    assert written(Says("a STO STOP b"), stop_strings=["STOP"]) == ["a", " ", "STO "]
    assert written(Says("no S"), stop_strings=["STOP"]) == ["n", "o", " ", "S"]


def test_bytes_that_never_become_a_character_come_in_the_end():
    assert written(Says(b"a\xe2\x82")) == ["a", "\ufffd"]
    assert written(Says(b"a\xe2b")) == ["a", "\ufffdb"]


def test_a_stop_string_may_hide_behind_a_character_cut_in_two():
    assert written(Says("xsé!"), stop_strings=["sé"]) == ["x"]
    assert written(Says("xsä!"), stop_strings=["sé"]) == ["x", "sä", "!"]


def test_writing_ends_with_the_stop_and_its_token_is_not_shown():
    model = Says("yes. no")
    assert "".join(written(model, stop_strings=["o", ". "])) == "yes"
    assert model.steps == 5
    model = Says("yes. no")
    assert "".join(written(model, stop_tokens=[ord(".")])) == "yes"
    assert model.steps == 4


def test_what_is_held_back_is_shown_when_a_stop_token_ends_it():
    assert written(Says("a</s"), stop_strings=["</stop>"], stop_tokens=[ord("s")]) == ["a", "</"]


def test_it_is_lazy():
    model = Says("abcdef")
    text = stream_text(model, b"go", Bytes(), sampling=GREEDY)
    assert model.steps == 0
    assert next(text) == "a"
    assert model.steps == 1


@given(st.lists(st.text("abé", max_size=4), max_size=6), st.lists(st.text("abé", min_size=1, max_size=4), max_size=3))
def test_pieces_join_to_the_text_up_to_the_first_stop_and_never_begin_one(parts, stops):
    text = "".join(parts)
    found = list(pieces(parts, stops))
    # Where two stops overlap the one that is complete first counts.
    ends = [end for end in range(len(text) + 1) if any(stop in text[:end] for stop in stops)]
    so_far = text[: ends[0]] if ends else text
    at = 0
    for part in parts:  # a part comes as a whole: what is in it counts as there at once
        at += len(part)
        if ends and at >= ends[0]:
            so_far = text[:at]
            break
    cut = min((so_far.index(stop) for stop in stops if stop in so_far), default=len(so_far))
    assert "".join(found) == so_far[:cut]
    assert all(found)


def test_several_characters_a_token():
    assert list(pieces(["ab", "ST", "OPcd"], ["STOP"])) == ["ab"]
    assert list(pieces(["ab", "STO", "cd", "S"], ["STOP"])) == ["ab", "STOcd", "S"]
    assert list(pieces(["one", " two", ""], [])) == ["one", " two"]


def test_it_is_what_generate_writes():
    config = DecoderConfig(vocab_size=256, d_model=16, n_layers=1, positions=Rope())
    model = Decoder(config, seed=1).double()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    sampling = Sampling(1.3, top_k=100)
    tokens = generate(model, torch.tensor([list("hé".encode())]), temperature=1.3, top_k=100, seed=5)
    found = "".join(stream_text(model, "hé".encode(), Bytes(), sampling=sampling, seed=5))
    assert found == Bytes().decode(tokens[0, 3:].tolist())
    assert len(set(found)) > 3


def test_a_prompt_without_a_token_is_an_error_at_the_call():
    with pytest.raises(ValueError, match="the prompt is empty"):
        stream_text(Says("a"), [], Bytes())


def test_several_at_once_are_what_each_is_alone():
    config = DecoderConfig(vocab_size=256, d_model=16, n_layers=1, positions=Rope())
    model = Decoder(config, seed=1).double()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    prompts = [b"one", b"another one"]
    settings = {"max_new_tokens": 20, "sampling": GREEDY, "stop_strings": ["zz"]}
    alone = ["".join(stream_text(model, prompt, Bytes(), **settings)) for prompt in prompts]
    assert write_texts(model, prompts, Bytes(), **settings) == alone
    draft = Decoder(config, seed=2).double()
    assert write_texts(model, prompts, Bytes(), draft=draft, **settings) == alone
    best = write_texts(model, prompts, Bytes(), max_new_tokens=4, stop_tokens=[7], n_beams=3)
    expected = beam_search(model, torch.tensor([list(b"one")]), model.new_state(1), end=7, n_beams=3, max_new_tokens=4)
    ids = [token for token in expected.tokens[0, 0].tolist() if token != 7]
    assert best[0] == Bytes().decode(ids)
    with pytest.raises(UserError, match="at which token"):
        write_texts(model, prompts, Bytes(), n_beams=3)


def test_where_the_positions_end_the_text_does():
    config = DecoderConfig(vocab_size=256, d_model=16, n_layers=1, max_seq_len=12, positions=Learned())
    model = Decoder(config, seed=1)
    prompts = [b"one", b"another"]
    settings = {"max_new_tokens": 50, "sampling": GREEDY}
    whole = generate(model, torch.tensor([list(prompts[1])]), max_new_tokens=6, temperature=0)
    assert "".join(stream_text(model, prompts[1], Bytes(), **settings)) == Bytes().decode(whole[0, 7:].tolist())
    assert write_texts(model, prompts, Bytes(), **settings)[1] == Bytes().decode(whole[0, 7:].tolist())
    with pytest.raises(ValueError, match="position 12 has no learned vector"):  # one more would be one too many
        generate(model, torch.tensor([list(prompts[1])]), max_new_tokens=7, temperature=0)
    with pytest.raises(ValueError, match="a prompt of 13 tokens is longer than the positions"):
        write_texts(model, [b"x" * 13], Bytes(), **settings)


def test_numbers_that_overflow_are_an_error_and_no_text():
    model = Decoder(DecoderConfig(vocab_size=256, d_model=16, n_layers=1, positions=Rope())).half()
    model.final_norm.weight.data.fill_(6e4)
    with pytest.raises(UserError, match="overflow in float16: load it with another dtype"):
        write_texts(model, [b"one"], Bytes(), max_new_tokens=3)
