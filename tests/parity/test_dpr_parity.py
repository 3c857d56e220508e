"""DPR's two encoders against transformers, through the converter that users have: in float64, to 1e-10."""

import json

import pytest
import torch
import transformers as hf

import allyouneed as ayn
from allyouneed.blocks import FirstToken
from allyouneed.models import hub
from allyouneed.models.families import family

SMALL = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
CASES = {
    "question": (hf.DPRQuestionEncoder, SMALL),
    "context": (hf.DPRContextEncoder, SMALL),
    "context, projected": (hf.DPRContextEncoder, SMALL | {"projection_dim": 10}),
    "question, projected, relu, one part": (
        hf.DPRQuestionEncoder,
        SMALL | {"projection_dim": 37, "hidden_act": "relu", "type_vocab_size": 1},
    ),
}
TOKENS = torch.randint(1, 61, (3, 11), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(11)[None] < torch.tensor([[11], [7], [1]])


@pytest.fixture
def pair(loud, in_float64, tmp_path):
    def make(name):
        kind, values = CASES[name]
        with in_float64():
            theirs = loud(kind(hf.DPRConfig(**values, attn_implementation="eager")).double())
            theirs.save_pretrained(tmp_path / "theirs")
        return theirs, hub.load(tmp_path / "theirs")

    return make


def ask(theirs, mask):
    return theirs(input_ids=TOKENS, attention_mask=mask).pooler_output


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_vectors_and_gradients(name, padded, pair, in_float64, assert_parity):
    theirs, ours = pair(name)
    mask = MASK if padded else torch.ones_like(MASK)
    with in_float64():
        expected = ask(theirs, mask)
    vectors = ours.pooled(ours.hidden(TOKENS, mask), mask)
    assert expected.abs().max() > 1
    assert_parity(vectors, expected, "vectors")
    upstream = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (vectors * upstream).sum().backward()
    with in_float64():
        (expected * upstream).sum().backward()
    grads = {n.partition(".")[2]: p.grad for n, p in theirs.named_parameters()}
    parameters, checked = dict(ours.named_parameters()), 0
    for entry in hub.table_of(family("dpr"), ours):
        ((our,), (their,)) = entry.ours, entry.theirs
        assert_parity(parameters[our].grad, grads[their], their)
        checked += 1
    assert checked == len(grads)


@pytest.mark.parametrize("name", CASES)
def test_written_again_both_libraries_read_the_same(name, pair, in_float64, assert_parity, tmp_path):
    theirs, ours = pair(name)
    assert hub.save(ours, tmp_path / "ours") == "dpr"
    said = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert said["architectures"] == [type(theirs).__name__]
    with in_float64():
        again = type(theirs).from_pretrained(tmp_path / "ours", dtype=torch.float64)
    for tensor, value in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[tensor], value), tensor
    once_more = hub.load(tmp_path / "ours")
    for tensor, value in ours.state_dict().items():
        assert torch.equal(once_more.state_dict()[tensor], value), tensor


@pytest.mark.parametrize("dim", [0, 10])
def test_an_encoder_made_here_loads_there(dim, in_float64, assert_parity, tmp_path):
    config = hub.load(_saved(tmp_path / "any")).config
    model = ayn.Encoder(_with_pooler(config, FirstToken(dim))).double().eval()
    assert ayn.save(model, tmp_path / "ours") == "dpr"
    with in_float64():
        for kind in (hf.DPRQuestionEncoder, hf.DPRContextEncoder):
            theirs = kind.from_pretrained(tmp_path / "ours", dtype=torch.float64, attn_implementation="eager").eval()
            assert_parity(model.pooled(model.hidden(TOKENS, MASK), MASK), ask(theirs, MASK))


def test_segments_change_the_vector(pair):
    """Why passages are read with all tokens of part 0: those of part 1 say something else."""
    _, ours = pair("context")
    types = (torch.arange(11) > 5).long().expand(3, -1)
    plain, parts = ours.hidden(TOKENS), ours.hidden(ours.embed(TOKENS, types))
    assert (plain[:, 0] - parts[:, 0]).abs().max() > 1e-3


def test_the_reader_is_refused(tmp_path):
    hf.DPRReader(hf.DPRConfig(**SMALL)).save_pretrained(tmp_path)
    with pytest.raises(ayn.models.hub.UserError, match="holds a DPRReader"):
        hub.load(tmp_path)


def _saved(folder):
    hf.DPRQuestionEncoder(hf.DPRConfig(**SMALL)).save_pretrained(folder)
    return folder


def _with_pooler(config, pooler):
    from dataclasses import replace

    return replace(config, pooler=pooler)
