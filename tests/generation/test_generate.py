"""Writing on from prompts: padded ones as each alone, seeded, stopped in time."""

import pytest
import torch

from allyouneed.blocks import Learned, Rope, Sinusoidal
from allyouneed.generation import generate
from allyouneed.models import Decoder, DecoderConfig

PROMPTS = [torch.tensor([1, 2, 3, 4, 5]), torch.tensor([7, 8]), torch.tensor([9])]


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


def left_padded(prompts):
    length = max(len(p) for p in prompts)
    tokens = torch.stack([torch.cat([torch.zeros(length - len(p), dtype=torch.long), p]) for p in prompts])
    return tokens, torch.stack([torch.arange(length) >= length - len(p) for p in prompts])


@pytest.mark.parametrize("positions", [Rope(), Learned(), Sinusoidal()])
def test_left_padded_prompts_continue_as_each_alone(positions):
    model = decoder(positions, n_kv_heads=2)
    tokens, mask = left_padded(PROMPTS)
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


def test_a_row_is_filled_up_after_its_stop_token():
    model = decoder()
    tokens, mask = left_padded(PROMPTS)
    free = generate(model, tokens, mask, max_new_tokens=20, temperature=0)
    stop = int(free[0, 8])
    stopped = generate(model, tokens, mask, max_new_tokens=20, temperature=0, stop_token=stop)
    for row, unstopped in zip(stopped[:, 5:].tolist(), free[:, 5:].tolist()):
        end = unstopped.index(stop) + 1 if stop in unstopped else len(row)
        assert row[:end] == unstopped[: len(row)][:end]
        assert set(row[end:]) <= {stop}


def test_writing_ends_when_every_row_has_stopped():
    model, prompt = decoder(), PROMPTS[0][None]
    free = generate(model, prompt, max_new_tokens=20, temperature=0)[0, 5:].tolist()
    stop = free[3]
    stopped = generate(model, prompt, max_new_tokens=20, temperature=0, stop_token=stop)[0, 5:].tolist()
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
    ],
)
def test_bad_input_is_an_error(tokens, options, message):
    with pytest.raises(ValueError, match=message):
        generate(decoder(), tokens, **options)


def test_writing_beyond_the_learned_positions_is_an_error():
    with pytest.raises(ValueError, match="max_seq_len is 64"):
        generate(decoder(Learned()), PROMPTS[0][None], max_new_tokens=80)
