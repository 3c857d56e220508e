"""Models of this library as clients: what they write alone, many at once, and in a conversation."""

import pytest
import torch

from allyouneed.blocks import Rope
from allyouneed.clients import ClientError, Request, Usage, complete_all
from allyouneed.clients.local import Local
from allyouneed.clients.specs import client
from allyouneed.generation import generate
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.models.hub import save
from allyouneed.tokenizers.bytes import Bytes
from allyouneed.tokenizers.subwords import train_subwords

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)


@pytest.fixture(scope="module")
def decoder():
    config = DecoderConfig(vocab_size=256, d_model=32, n_layers=2, max_seq_len=64, positions=Rope())
    model = Decoder(config, seed=1)
    for parameter in model.parameters():
        parameter.data *= 3  # far from uniform, so that a wrong token shows
    return model.double()


@pytest.fixture(scope="module")
def local(decoder):
    return Local(decoder, Bytes(), name="bytes", stop_tokens=(7,))


def written(decoder, text, **settings):
    """The new tokens by the library's own function."""
    tokens = torch.tensor([list(text.encode())])
    return generate(decoder, tokens, stop_tokens=(7,), **settings)[0, tokens.shape[1] :].tolist()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_it_writes_what_generate_writes_and_counts_its_tokens(decoder, local, temperature):
    tokens = written(decoder, "seven", max_new_tokens=12, temperature=temperature, seed=[5])
    answer = local.complete(Request("seven", max_new_tokens=12, temperature=temperature, seed=5))
    shown = tokens[:-1] if tokens[-1] == 7 else tokens
    assert answer.text == bytes(shown).decode("utf-8", errors="replace")
    assert answer.usage == Usage(5, len(tokens))
    assert answer.ended == ("stop" if tokens[-1] == 7 else "length")
    assert answer.model == "bytes"
    assert answer.logprobs is None


def test_log_probabilities_are_the_models_own(decoder, local):
    answer = local.complete(Request("seven", max_new_tokens=6, logprobs=True))
    tokens = list(b"seven") + written(decoder, "seven", max_new_tokens=6, temperature=0.0)
    logits = decoder(torch.tensor([tokens]))[0, 4:-1].log_softmax(-1)
    expected = logits[range(len(tokens) - 5), tokens[5:]]
    torch.testing.assert_close(torch.tensor(answer.logprobs, dtype=torch.float64), expected, rtol=1e-6, atol=1e-6)


def test_many_at_once_are_as_each_alone(local):
    prompts = ["a", "bcd" * 5, "x y", "seven"] * 3
    requests = [
        Request(p, max_new_tokens=3 + n % 2 * 5, temperature=n % 3 / 2, seed=n, logprobs=True)
        for n, p in enumerate(prompts)
    ]
    together = complete_all(local, requests)
    for request, answer in zip(requests, together):
        alone = local.complete(request)
        assert (answer.text, answer.usage, answer.ended) == (alone.text, alone.usage, alone.ended)
        assert answer.logprobs == pytest.approx(alone.logprobs, rel=1e-9)


def test_a_stop_text_ends_it_and_is_not_part_of_it(local):
    whole = local.complete(Request("seven", max_new_tokens=12))
    cut = local.complete(Request("seven", max_new_tokens=12, stop=(whole.text[3],)))
    assert cut.text == whole.text[: whole.text.index(whole.text[3])]
    assert cut.ended == "stop"
    assert cut.usage.completion_tokens < whole.usage.completion_tokens


def test_what_it_cannot_read_is_a_clients_error(local):
    with pytest.raises(ClientError, match="no chat template: give the prompt as a text"):
        local.complete(Request(({"role": "user", "content": "Hi"},)))


def test_a_checkpoint_is_opened_by_its_spec_and_talks(tmp_path):
    import json

    tokenizer = train_subwords(["the quick brown fox <user> <a> says hi " * 3], 60, special=("<end>",))
    sizes = {"d_model": 16, "n_layers": 1, "max_seq_len": 64}
    save(Decoder(DecoderConfig(vocab_size=tokenizer.vocab_size, positions=Rope(), **sizes)), tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_dict()["description"])
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>", "chat_template": TEMPLATE}))
    found = client(f"local:{tmp_path}")
    assert found.name == f"local:{tmp_path}"
    talk = found.complete(Request(({"role": "user", "content": "hi"},), max_new_tokens=5))
    text = found.complete(Request("<user>hi<a>", max_new_tokens=5))
    assert (talk.text, talk.usage) == (text.text, text.usage)
    assert talk.usage.completion_tokens <= 5
