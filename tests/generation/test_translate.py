"""Sentences in, sentences out: in their order, whatever is translated together, and as beam search would write them."""

import torch

from allyouneed.blocks import CrossAttention, Sinusoidal
from allyouneed.generation import beam_search, translate
from allyouneed.models import DecoderConfig, EncoderConfig, EncoderDecoder, EncoderDecoderConfig
from allyouneed.tokenizers.subwords import END, START, train_subwords

SOURCES = ["one", "twenty-one hundred", "three", "four hundred and one", "one"]


def a_model() -> tuple[EncoderDecoder, object]:
    tokenizer = train_subwords(SOURCES, vocab_size=40)
    sizes = {"vocab_size": tokenizer.vocab_size, "d_model": 16, "n_layers": 1, "positions": Sinusoidal()}
    config = EncoderDecoderConfig(
        encoder=EncoderConfig(**sizes), decoder=DecoderConfig(**sizes, cross=CrossAttention())
    )
    model = EncoderDecoder(config).double()
    with torch.no_grad():  # far from uniform, so that translations differ and no two are near to a tie
        for weight in model.parameters():
            weight.mul_(3)
    return model, tokenizer


def test_what_is_translated_together_makes_no_difference():
    model, tokenizer = a_model()
    together = translate(model, SOURCES, tokenizer, max_new_tokens=9)
    assert together == [translate(model, [source], tokenizer, max_new_tokens=9)[0] for source in SOURCES]
    assert together == translate(model, SOURCES, tokenizer, max_new_tokens=9, batch_size=2)
    assert together[0] == together[4]
    assert len({*together}) > 2


def test_it_writes_what_beam_search_finds():
    model, tokenizer = a_model()
    source = torch.tensor([[*tokenizer.encode(SOURCES[3]), END]])
    beams = beam_search(model, torch.tensor([[START]]), model.new_state(source), end=END, n_beams=3, max_new_tokens=9)
    tokens = beams.tokens[0, 0].tolist()
    expected = tokenizer.decode(tokens[: tokens.index(END)] if END in tokens else tokens)
    assert translate(model, [SOURCES[3]], tokenizer, n_beams=3, max_new_tokens=9) == [expected]


def test_the_model_stays_in_its_mode_and_nothing_gives_nothing():
    model, tokenizer = a_model()
    model.train()
    translate(model, SOURCES[:1], tokenizer, max_new_tokens=1)
    assert model.training
    assert translate(model, [], tokenizer) == []
