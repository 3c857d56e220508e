"""Texts as vectors: what the checkpoint says, whatever else is in the batch."""

import json

import numpy as np
import pytest
import torch

import allyouneed as ayn
from allyouneed.blocks import FirstToken, Learned, NoHead, Rope, mean_pool
from allyouneed.errors import UserError
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig
from allyouneed.retrieval import TextEncoder
from allyouneed.tokenizers.subwords import train_subwords

TEXTS = ["the quick brown fox", "jumps", "over the lazy dog " * 12, "", "pack my box with five dozen liquor jugs"]


def checkpoint(folder, pooler=None, max_seq_len=24, **extra):
    """An encoder with a tokenizer, in a folder."""
    config = EncoderConfig(
        vocab_size=90,
        d_model=16,
        n_layers=1,
        positions=Learned(),
        pooler=pooler,
        head=NoHead(),
        max_seq_len=max_seq_len,
    )
    ayn.save(Encoder(config, seed=3), folder)
    tokenizer = train_subwords(TEXTS * 3, 90, special=("[PAD]", "[CLS]", "[SEP]"))
    description = json.loads(tokenizer.to_dict()["description"])
    ids = {name: {"id": name, "ids": [i], "tokens": [name]} for i, name in ((1, "[CLS]"), (2, "[SEP]"))}
    around = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    around.append({"SpecialToken": {"id": "[SEP]", "type_id": 0}})
    description["post_processor"] = {
        "type": "TemplateProcessing",
        "single": around,
        "pair": around,
        "special_tokens": ids,
    }
    (folder / "tokenizer.json").write_text(json.dumps(description))
    (folder / "tokenizer_config.json").write_text(json.dumps({"cls_token": "[CLS]", "sep_token": "[SEP]"}))
    for name, values in extra.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(values))
    return folder


def alone(folder, text, longest=24):
    """Hidden states of one text as the model gives them, cut as it must be."""
    tokens = ayn.tokenizer(folder).encode(text, special=True)
    tokens = tokens if len(tokens) <= longest else [*tokens[: longest - 1], tokens[-1]]
    return ayn.load(folder).hidden(torch.tensor([tokens]))


def test_the_mean_of_length_one_in_any_batch_and_order(tmp_path):
    folder = checkpoint(tmp_path / "mean")
    encode = TextEncoder(folder)
    vectors = encode(TEXTS, batch_size=2)
    for text, vector in zip(TEXTS, vectors):
        mean = mean_pool(alone(folder, text))[0].detach()
        assert vector == pytest.approx((mean / mean.norm()).numpy(), abs=1e-6)  # float32
    assert np.allclose(encode(TEXTS[::-1])[::-1], vectors, atol=1e-6)
    assert encode([]).shape[0] == 0
    seen = []
    encode(TEXTS, batch_size=2, progress=seen.append)
    assert seen == [2, 2, 1]


def test_settings_of_sentence_transformers_are_heeded(tmp_path):
    modes = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 16}
    settings = {"1_Pooling/config.json": modes, "sentence_bert_config.json": {"max_seq_length": 6}}
    folder = checkpoint(tmp_path / "cls", **settings)
    encode = TextEncoder(folder)
    first = alone(folder, TEXTS[2], longest=6)[0, 0].detach()
    assert encode([TEXTS[2]])[0] == pytest.approx((first / first.norm()).numpy(), abs=1e-6)
    other = checkpoint(tmp_path / "max", **{"1_Pooling/config.json": {"pooling_mode_max_tokens": True}})
    with pytest.raises(UserError, match="pooling_mode_max_tokens"):
        TextEncoder(other)


def test_dprs_vector_is_the_first_tokens_as_it_is(tmp_path):
    folder = checkpoint(tmp_path / "dpr", pooler=FirstToken(5))
    encode = TextEncoder(folder)
    model = ayn.load(folder)
    expected = model.pooler.projection(alone(folder, TEXTS[0])[:, 0])[0]
    assert encode(TEXTS[:2])[0] == pytest.approx(expected.detach().numpy(), abs=1e-6)


def test_the_version_tells_models_apart(tmp_path):
    one, same = (TextEncoder(checkpoint(tmp_path / name)) for name in ("one", "same"))
    assert one.version == same.version
    modes = {"1_Pooling/config.json": {"pooling_mode_cls_token": True}}
    assert TextEncoder(checkpoint(tmp_path / "pooled", **modes)).version != one.version
    model = ayn.load(tmp_path / "same")
    with torch.no_grad():
        model.embedding.weight[5, 3] += 1e-3
    ayn.save(model, tmp_path / "same")
    assert TextEncoder(tmp_path / "same").version != one.version


def test_what_is_no_encoder_is_refused(tmp_path):
    ayn.save(Decoder(DecoderConfig(vocab_size=9, positions=Rope())), tmp_path / "decoder")
    with pytest.raises(UserError, match="is no encoder"):
        TextEncoder(tmp_path / "decoder")
    bare = EncoderConfig(vocab_size=9, positions=Rope(), head=NoHead())
    ayn.save(Encoder(bare), tmp_path / "bare")
    with pytest.raises(UserError, match="no tokenizer"):
        TextEncoder(tmp_path / "bare")
