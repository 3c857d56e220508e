"""Writing on from prompts: padded ones as each alone, seeded, stopped in time."""

import pytest
import torch

from allyouneed.blocks import CrossAttention, Learned, Rope, Sinusoidal
from allyouneed.generation import Sampling, Stop, generate, left_pad, row_seeds, stream
from allyouneed.models import Decoder, DecoderConfig, EncoderConfig, EncoderDecoder, EncoderDecoderConfig
from allyouneed.tokenizers import Bytes

PROMPTS = [torch.tensor([1, 2, 3, 4, 5]), torch.tensor([7, 8]), torch.tensor([9])]
PADDED = left_pad([prompt.tolist() for prompt in PROMPTS])


def decoder(positions=None, **options):
    """In float64 with large weights, so that greedy choices vary and never tie."""
    config = DecoderConfig(
        vocab_size=11, d_model=16, max_seq_len=64, positions=positions or Rope(), tie_embeddings=False, **options
    )
    model = Decoder(config, seed=1).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(15)
    return model


@pytest.mark.parametrize("positions", [Rope(), Learned(), Sinusoidal()])
def test_left_padded_prompts_continue_as_each_alone(positions):
    model = decoder(positions, n_kv_heads=2)
    tokens, mask = PADDED
    together = generate(model, tokens, mask, max_new_tokens=20, temperature=0)
    assert torch.equal(together[:, :5], tokens)
    assert len(set(together[:, 5:].flatten().tolist())) > 3
    for row, prompt in enumerate(PROMPTS):
        alone = generate(model, prompt[None], max_new_tokens=20, temperature=0)
        assert alone[0, len(prompt) :].tolist() == together[row, 5:].tolist()


def test_greedy_writing_is_the_likeliest_token_of_the_whole_model():
    model = decoder()
    tokens = generate(model, PROMPTS[0][None], max_new_tokens=10, temperature=0)
    likeliest = model(tokens).argmax(-1)
    assert likeliest[0, 4:-1].tolist() == tokens[0, 5:].tolist()


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    model, prompt = decoder(), PROMPTS[0].expand(4, -1)
    before = torch.get_rng_state()
    first, again, other = (generate(model, prompt, temperature=2.0, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (4, 5 + 64)


def test_a_row_goes_on_as_it_would_alone_with_its_own_seed():
    model = decoder()
    tokens, mask = PADDED
    settings = {"max_new_tokens": 20, "temperature": 1.5, "top_p": 0.95, "repetition_penalty": 1.2}
    together = generate(model, tokens, mask, seed=3, **settings)
    chosen = generate(model, tokens, mask, seed=[8, 9, 8], **settings)
    for row, prompt in enumerate(PROMPTS):
        alone = generate(model, prompt[None], seed=[row_seeds(3, 3)[row]], **settings)
        assert alone[0, len(prompt) :].tolist() == together[row, 5:].tolist()
        alone = generate(model, prompt[None], seed=[[8, 9, 8][row]], **settings)
        assert alone[0, len(prompt) :].tolist() == chosen[row, 5:].tolist()
    assert generate(model, PROMPTS[0][None], seed=3, **settings)[0].tolist() == together[0].tolist()


def test_rows_of_one_prompt_are_written_differently():
    written = generate(decoder(), PROMPTS[0].expand(4, -1), temperature=2.0, max_new_tokens=20)
    assert len({tuple(row) for row in written.tolist()}) == 4


def test_the_penalty_counts_the_prompt_and_what_was_written_but_no_padding():
    model = decoder()
    tokens, mask = PADDED
    written = generate(model, tokens, mask, max_new_tokens=15, temperature=0, repetition_penalty=1.7)[:, 5:]
    plain = generate(model, tokens, mask, max_new_tokens=15, temperature=0)[:, 5:]
    assert not torch.equal(written, plain)
    for row, prompt in enumerate(PROMPTS):
        text = prompt.tolist()
        for _ in range(15):
            logits = model(torch.tensor([text]))[0, -1].tolist()
            for token in set(text):
                logits[token] *= 1.7 if logits[token] < 0 else 1 / 1.7
            text.append(logits.index(max(logits)))
        assert text[len(prompt) :] == written[row].tolist()


def test_every_setting_reaches_the_draw():
    model, prompt = decoder(), PROMPTS[0][None]
    greedy = generate(model, prompt, temperature=0)
    for settings in ({"min_p": 1.0}, {"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-6}):
        assert torch.equal(generate(model, prompt, **settings), greedy)
    assert not torch.equal(generate(model, prompt, temperature=2.0), greedy)


def until(written, stops):
    """What is written up to the first token of `stops`, that one included."""
    ends = [place + 1 for place, token in enumerate(written) if token in stops]
    return written[: min(ends)] if ends else written


@pytest.mark.parametrize("pad_token", [None, 0])
def test_a_row_is_filled_up_after_its_stop_token(pad_token):
    model = decoder()
    tokens, mask = PADDED
    settings = {"max_new_tokens": 20, "temperature": 1.5}
    free = generate(model, tokens, mask, **settings)[:, 5:].tolist()
    stops = [max(row, key=row.index) for row in free[:2]]  # what each writes last for the first time
    settings |= {"stop_tokens": stops, "pad_token": pad_token}
    stopped = generate(model, tokens, mask, **settings)[:, 5:].tolist()
    ends = set()
    for row, unstopped in zip(stopped, free):
        expected = until(unstopped, stops)
        assert row[: len(expected)] == expected
        assert set(row[len(expected) :]) <= {expected[-1] if pad_token is None else pad_token}
        ends.add(expected[-1])
    assert ends == set(stops)
    assert len(ends) == 2
    assert len(stopped[0]) == max(len(until(row, stops)) for row in free)


def test_writing_ends_when_every_row_has_stopped():
    model, prompt = decoder(), PROMPTS[0][None]
    free = generate(model, prompt, max_new_tokens=20, temperature=0)[0, 5:].tolist()
    stop = free[3]
    stopped = generate(model, prompt, max_new_tokens=20, temperature=0, stop_tokens=[stop])[0, 5:].tolist()
    assert stopped == free[: free.index(stop) + 1]


def test_dropout_is_off_meanwhile_and_modes_come_back():
    model, prompt = decoder(dropout=0.5).train(), PROMPTS[0][None]
    model.layers[1].eval()
    assert torch.equal(generate(model, prompt, temperature=0), generate(model, prompt, temperature=0))
    assert model.training
    assert not model.layers[1].training


def test_what_was_written_can_be_trained_on():
    model = decoder()
    tokens = generate(model, PROMPTS[0][None], max_new_tokens=3)
    model(tokens).sum().backward()
    assert model.embedding.weight.grad is not None


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(1.5, 8, 0.9, 0.01, 1.3)])
def test_the_stream_gives_what_generate_writes_with_the_models_own_log_probabilities(sampling):
    model = decoder()
    tokens, mask = PADDED
    settings = {"max_new_tokens": 12, "seed": 4}
    free = generate(model, tokens, mask, **vars(sampling), **settings)[:, 5:].tolist()
    stop = Stop(tokens=[free[0][2], free[2][4]], pad_token=0)
    steps = list(stream(model, tokens, mask, sampling=sampling, stop=stop, **settings))
    stops = {"stop_tokens": stop.tokens, "pad_token": 0}
    whole = generate(model, tokens, mask, **vars(sampling), **settings, **stops)[:, 5:]
    assert torch.equal(torch.stack([step.tokens for step in steps], dim=1), whole)
    found = torch.stack([step.log_probabilities for step in steps], dim=1)
    for row, prompt in enumerate(PROMPTS):
        written = until(whole[row].tolist(), stop.tokens)
        ended = [place + 1 >= len(written) and written[-1] in stop.tokens for place in range(len(steps))]
        assert [not bool(step.open[row]) for step in steps] == ended
        said = model(torch.cat((prompt, torch.tensor(written)))[None])[0].log_softmax(-1)[len(prompt) - 1 : -1]
        expected = said.gather(1, torch.tensor(written)[:, None])[:, 0]
        # The key-value state adds up in another order than one pass over the whole.
        torch.testing.assert_close(found[row, : len(written)], expected, rtol=0, atol=1e-9)
        assert found[row, len(written) :].tolist() == [0.0] * (len(steps) - len(written))


def test_between_two_tokens_of_a_stream_the_model_and_torch_are_as_they_were():
    model = decoder(dropout=0.5).train()
    model.layers[1].eval()
    steps = stream(model, PROMPTS[0][None], sampling=Sampling(temperature=0))
    written = [next(steps).tokens for _ in range(5)]
    assert model.training
    assert not model.layers[1].training
    assert not torch.is_inference_mode_enabled()
    assert not any(tokens.is_inference() for tokens in written)
    model(torch.stack(written, dim=1)).sum().backward()
    assert model.embedding.weight.grad is not None
    expected = generate(model, PROMPTS[0][None], temperature=0, max_new_tokens=5)[:, 5:]
    assert torch.equal(torch.stack(written, dim=1), expected)


def test_a_stream_complains_when_it_is_made():
    model = decoder()
    with pytest.raises(ValueError, match="end with padding"):
        stream(model, PADDED[0], PADDED[1].flip(1))
    with pytest.raises(ValueError, match="each of the 3 rows; got 1"):
        stream(model, *PADDED, seed=[1])


class Says:
    """Not a module: writes given bytes, a row each, whatever it reads; and counts its steps."""

    def __init__(self, *texts):
        self.texts, self.steps = [text.encode() for text in texts], 0

    def new_state(self, batch_size):
        return -1

    def step(self, tokens, state, mask=None):
        self.steps += 1
        said = torch.tensor([text[min(state + 1, len(text) - 1)] for text in self.texts])
        return 99 * torch.nn.functional.one_hot(said, 256).float(), state + 1


def said_by(model, **settings):
    tokens = torch.zeros(len(model.texts), 1, dtype=torch.long)
    return [Bytes().decode(row[1:]) for row in generate(model, tokens, temperature=0, **settings).tolist()]


def test_a_row_ends_with_the_token_that_completes_a_stop_string():
    model = Says("one stop two", "one sto stopt", "four then stop")
    written = said_by(model, stop_strings=["stop", "then"], tokenizer=Bytes(), pad_token=ord("_"), max_new_tokens=50)
    assert written == ["one stop____", "one sto stop", "four then___"]
    assert model.steps == 12


def test_without_a_pad_token_the_last_token_fills_up():
    assert said_by(Says("ab!x", "abcd!"), stop_strings=["!"], tokenizer=Bytes()) == ["ab!!!", "abcd!"]


def test_what_the_prompt_says_does_not_stop():
    model = Says("yes")
    prompt = torch.tensor([list(b"st")])
    settings = {"stop_strings": ["sty", "st"], "tokenizer": Bytes(), "temperature": 0, "max_new_tokens": 3}
    assert bytes(generate(model, prompt, **settings)[0].tolist()) == b"styes"


class Translator(EncoderDecoder):
    def begin(self, tokens, mask=None):
        return torch.ones(len(tokens), 2, dtype=torch.long), self.new_state(tokens, mask)


def translator():
    sizes = {"vocab_size": 11, "d_model": 16, "n_layers": 2, "max_seq_len": 64, "positions": Rope()}
    decoder_config = DecoderConfig(**sizes, cross=CrossAttention())
    model = Translator(EncoderDecoderConfig(encoder=EncoderConfig(**sizes), decoder=decoder_config)).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(15)
    return model


def test_a_model_with_a_source_writes_on_from_what_it_begins_with():
    model = translator()
    tokens, mask = PADDED[0].flip(1), PADDED[1].flip(1)  # a source may be padded on the right
    together = generate(model, tokens, mask, max_new_tokens=10, temperature=0)
    assert together.shape == (3, 12)
    assert len(set(together[:, 2:].flatten().tolist())) > 3
    for row, source in enumerate(PROMPTS):
        likeliest = model(source.flip(0)[None], together[[row]]).argmax(-1)
        assert together[row, :2].tolist() == [1, 1]
        assert likeliest[0, 1:-1].tolist() == together[row, 2:].tolist()
    assert generate(model, tokens, mask, max_new_tokens=0).tolist() == [[1, 1]] * 3


def test_left_padding():
    tokens, mask = left_pad([[1, 2, 3], [4]], pad=9)
    assert tokens.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert mask.tolist() == [[True, True, True], [False, False, True]]
    for rows, message in (([], "at least one row"), ([[1], [], [2], []], r"rows \[1, 3\] have none")):
        with pytest.raises(ValueError, match=message):
            left_pad(rows)


class Counting:
    """Not a module: counts upwards from the last token, and keeps the number of tokens read as its state."""

    def new_state(self, batch_size):
        return 0

    def step(self, tokens, state, mask=None):
        return torch.nn.functional.one_hot((tokens[:, -1] + 1) % 11, 11).float(), state + tokens.shape[1]


def test_anything_that_steps_can_write():
    assert generate(Counting(), PROMPTS[0][None], max_new_tokens=4, temperature=0)[0, 5:].tolist() == [6, 7, 8, 9]


def test_nothing_new_gives_the_prompt():
    assert torch.equal(generate(decoder(), PROMPTS[0][None], max_new_tokens=0), PROMPTS[0][None])


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        (torch.empty(1, 0, dtype=torch.long), {}, "the prompt is empty"),
        (torch.zeros(2, 2, dtype=torch.long), {"mask": torch.tensor([[True, True], [True, False]])}, r"rows \[1\]"),
        (torch.zeros(1, 2, dtype=torch.long), {"max_new_tokens": -1}, "max_new_tokens must be at least 0, got -1"),
        (torch.zeros(1, 2, dtype=torch.long), {"temperature": -1.0}, "temperature must be at least 0"),
        (torch.zeros(1, 2, dtype=torch.long), {"top_p": 0.0}, "top_p must lie"),
        (torch.zeros(1, 2, dtype=torch.long), {"stop_tokens": [4, 11]}, r"of the vocabulary \(0 .. 10\), got 11"),
        (torch.zeros(1, 2, dtype=torch.long), {"pad_token": -1}, r"of the vocabulary \(0 .. 10\), got -1"),
        (torch.zeros(1, 2, dtype=torch.long), {"stop_strings": ["a"]}, "give the tokenizer"),
        (torch.zeros(1, 2, dtype=torch.long), {"stop_strings": "ab", "tokenizer": Bytes()}, r"\['ab'\]"),
        (torch.zeros(1, 2, dtype=torch.long), {"stop_strings": [""], "tokenizer": Bytes()}, "the empty string"),
    ],
)
def test_bad_input_is_an_error(tokens, options, message):
    with pytest.raises(ValueError, match=message):
        generate(decoder(), tokens, **options)


def test_writing_beyond_the_learned_positions_is_an_error():
    with pytest.raises(ValueError, match="max_seq_len is 64"):
        generate(decoder(Learned()), PROMPTS[0][None], max_new_tokens=80)
