"""Likelihoods of continuations against one unpadded row at a time."""

import pytest
import torch

from allyouneed.blocks import CrossAttention, Learned, Rope
from allyouneed.generation import generate, likelihood, score
from allyouneed.models import Decoder, DecoderConfig, EncoderConfig, EncoderDecoder, EncoderDecoderConfig

CONTEXTS = [[1, 2, 3, 4, 5], [7, 8], [9], [9], [2, 10, 0, 0, 6, 1]]
CONTINUATIONS = [[3], [4, 4, 1, 0], [10, 2], [5, 6, 7], [0, 0]]
# Sums of the same numbers in another order, in float64.
EXACT = {"rel": 0, "abs": 1e-10}


def loud(model, factor=5):
    for parameter in model.double().parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(factor)
    return model


def decoder(positions=None, **options):
    sizes = {"vocab_size": 11, "d_model": 16, "max_seq_len": 32, "positions": positions or Rope()}
    return loud(Decoder(DecoderConfig(**sizes, tie_embeddings=False, **options), seed=1))


class Translator(EncoderDecoder):
    def begin(self, tokens, mask=None):
        return torch.ones(len(tokens), 2, dtype=torch.long), self.new_state(tokens, mask)


def translator():
    sizes = {"vocab_size": 11, "d_model": 16, "n_layers": 2, "positions": Rope()}
    decoder_config = DecoderConfig(**sizes, cross=CrossAttention())
    return loud(Translator(EncoderDecoderConfig(encoder=EncoderConfig(**sizes), decoder=decoder_config)))


class OnlySteps:
    """A model of which nothing is known but that it steps."""

    def __init__(self, model):
        self.new_state, self.step = model.new_state, model.step


class OnlyBeginsAndSteps:
    def __init__(self, model):
        self.begin, self.step = model.begin, model.step


def by_hand(logits, continuation):
    """From the logits behind the context and each token of the continuation but the last."""
    said = logits[-len(continuation) :].log_softmax(-1)
    return [said[i, token].item() for i, token in enumerate(continuation)], said.argmax(-1).tolist() == continuation


def after(model, context, continuation):
    return by_hand(model(torch.tensor([[*context, *continuation[:-1]]]))[0], continuation)


def about(model, source, continuation):
    return by_hand(model(torch.tensor([source]), torch.tensor([[1, 1, *continuation[:-1]]]))[0], continuation)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
@pytest.mark.parametrize(
    ("model", "alone", "seen_as"),
    [
        (decoder(n_kv_heads=2), after, lambda model: model),
        (decoder(Learned()), after, lambda model: model),
        (decoder(), after, OnlySteps),
        (translator(), about, lambda model: model),
        (translator(), about, OnlyBeginsAndSteps),
    ],
)
def test_every_continuation_has_the_likelihood_that_it_has_alone(model, alone, seen_as, batch_size):
    found = score(seen_as(model), CONTEXTS, CONTINUATIONS, batch_size=batch_size)
    for likelihood_, context, continuation in zip(found, CONTEXTS, CONTINUATIONS, strict=True):
        expected, greedy = alone(model, context, continuation)
        assert likelihood_.log_probabilities == pytest.approx(expected, **EXACT)
        assert likelihood_.total == pytest.approx(sum(expected), **EXACT)
        assert likelihood_.greedy == greedy


def test_greedy_is_what_greedy_decoding_writes():
    model = decoder()
    written = [
        generate(model, torch.tensor([c]), temperature=0, max_new_tokens=6)[0, len(c) :].tolist() for c in CONTEXTS
    ]
    assert all(found.greedy for found in score(model, CONTEXTS, written))
    for place in range(6):  # one wrong token anywhere is enough
        wrong = [[*row[:place], (row[place] + 1) % 11, *row[place + 1 :]] for row in written]
        assert not any(found.greedy for found in score(model, CONTEXTS, wrong))


def test_all_continuations_of_two_tokens_have_probability_1_together():
    pairs = [[a, b] for a in range(11) for b in range(11)]
    found = score(decoder(), [[3, 1]] * len(pairs), pairs, batch_size=50)
    assert sum(torch.tensor([likelihood_.total for likelihood_ in found]).exp()) == pytest.approx(1, abs=1e-6)


def test_logits_are_made_a_few_at_a_time_and_only_where_they_are_needed(monkeypatch):
    model, sizes = decoder(), []
    head = model.head

    def counted(hidden):
        sizes.append(len(hidden))
        return head(hidden)

    whole = score(model, CONTEXTS, CONTINUATIONS)
    monkeypatch.setattr(model, "head", counted)
    monkeypatch.setattr(likelihood, "POSITIONS", 5)
    assert score(model, CONTEXTS, CONTINUATIONS) == whole
    assert sizes == [5, 5, 2]


def test_low_precision_logits_are_scored_in_float32():
    model = decoder().bfloat16()
    (found,) = score(model, [[1, 2]], [[3, 4]])
    logits = model(torch.tensor([[1, 2, 3]]))[0, 1:].float().log_softmax(-1)
    assert found.log_probabilities == pytest.approx([logits[0, 3].item(), logits[1, 4].item()], abs=1e-6)


def test_modes_come_back_and_nothing_gives_nothing():
    model = decoder(dropout=0.5).train()
    first, again = (score(model, CONTEXTS, CONTINUATIONS) for _ in range(2))
    assert first == again
    assert model.training
    assert score(model, [], []) == []


@pytest.mark.parametrize(
    ("contexts", "continuations", "options", "message"),
    [
        ([[1]], [[1], [2]], {}, "got 2 and 1"),
        ([[1], []], [[1], [2]], {}, r"contexts.*rows \[1\] have none"),
        ([[1], [1]], [[], [2]], {}, r"continuations.*rows \[0\] have none"),
        ([[1]], [[1]], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_bad_input_is_an_error(contexts, continuations, options, message):
    with pytest.raises(ValueError, match=message):
        score(decoder(), contexts, continuations, **options)
