"""Every family against the reference library, through the converter that users have: in float64, to 1e-10."""

import json
from dataclasses import replace

import pytest
import torch
import transformers as hf
from tests.parity.families import CASES, DECODERS, reference

from allyouneed.generation import generate
from allyouneed.models import hub
from allyouneed.models.families import family
from allyouneed.models.families._rope import read_rope
from allyouneed.models.weight_table import Fused, FusedByHead, Same

TOKENS = torch.randint(1, 61, (2, 13), generator=torch.Generator().manual_seed(0))
TARGETS = torch.randint(1, 61, (2, 9), generator=torch.Generator().manual_seed(1))
LEFT = torch.arange(13)[None] >= torch.tensor([[0], [4]])
RIGHT = LEFT.flip(1)


@pytest.fixture
def pair(loud, in_float64, tmp_path):
    """The reference's model of a name, and ours read from its checkpoint."""

    def make(name):
        with in_float64():
            theirs = loud(reference(name).double())
            theirs.save_pretrained(tmp_path / "theirs")
        return theirs, hub.load(tmp_path / "theirs")

    return make


def ask_theirs(theirs, in_float64, mask=None):
    """Logits, of the real tokens where there is a mask."""
    with in_float64():
        if theirs.config.is_encoder_decoder:
            return theirs(input_ids=TOKENS, attention_mask=mask, decoder_input_ids=TARGETS).logits
        takes_positions = mask is not None and theirs.config.model_type not in ("mamba", "bert")
        positions = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if takes_positions else {}
        logits = theirs(input_ids=TOKENS, attention_mask=mask, **positions).logits
    return logits if mask is None else logits[mask]


def ask_ours(ours, mask=None):
    if hasattr(ours, "encoder"):
        return ours(TOKENS, TARGETS, mask)
    logits = ours(TOKENS, mask)
    return logits if mask is None else logits[mask]


def masks(name):
    return {"whole": None, "padded": RIGHT if name.startswith(("bert", "t5")) else LEFT}


LOOKS = [(name, padding) for name in CASES for padding in ("whole", "padded")]
LOOKS.remove(("mamba with biases", "padded"))  # the reference reads padding there: see below


@pytest.mark.parametrize(("name", "padding"), LOOKS)
def test_logits_and_gradients(name, padding, pair, in_float64, assert_parity):
    theirs, ours = pair(name)
    mask = masks(name)[padding]
    reference_logits, logits = ask_theirs(theirs, in_float64, mask), ask_ours(ours, mask)
    assert reference_logits.abs().max() > 1  # loud
    assert_parity(logits, reference_logits, "logits")
    upstream = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (logits * upstream).sum().backward()
    with in_float64():
        (reference_logits * upstream).sum().backward()
    grads = {n: p.grad for n, p in theirs.named_parameters()}
    parameters, checked = dict(ours.named_parameters()), 0
    kind = family(theirs.config.model_type)
    for entry in hub.table_of(kind, ours):
        written = entry.layout.write([parameters[our].grad for our in entry.ours])
        for their, grad in zip(entry.theirs, written):
            their = "lm_head.weight" if their == "embed_out.weight" and their not in grads else their
            assert_parity(grad, grads[their], their)
            checked += 1
    assert checked == len(grads)


@pytest.mark.parametrize("name", CASES)
def test_written_again_it_is_the_same_checkpoint(name, pair, tmp_path):
    theirs, ours = pair(name)
    assert hub.save(ours, tmp_path / "ours") == theirs.config.model_type
    again = type(theirs).from_pretrained(tmp_path / "ours", dtype=torch.float64)
    said, meant = again.config.to_dict(), theirs.config.to_dict()
    assert read_rope(said) == read_rope(meant)  # in other words, perhaps: older ones beside newer
    for key in meant.keys() - {"_name_or_path", "rope_parameters"}:
        assert said[key] == meant[key], key
    before, after = theirs.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    for tensor in before:
        assert torch.equal(before[tensor], after[tensor]), tensor


@pytest.mark.parametrize("name", CASES)
def test_a_config_written_from_ours_alone_is_read_alike(name, pair, tmp_path, in_float64, assert_parity):
    """As for a model that was made here: nothing is known of the checkpoint that it once came from."""
    theirs, ours = pair(name)
    ours.checkpoint = None
    assert hub.save(ours, tmp_path / "ours") in (theirs.config.model_type, "llama")
    with in_float64():
        again = getattr(hf, json.loads((tmp_path / "ours" / "config.json").read_text())["architectures"][0])
        again = again.from_pretrained(tmp_path / "ours", dtype=torch.float64, attn_implementation="eager")
        assert_parity(ask_ours(ours), ask_theirs(again, in_float64))
    assert_parity(ask_ours(hub.load(tmp_path / "ours")), ask_ours(ours))


@torch.no_grad()
def test_a_mamba_with_biases_does_not_read_padding(pair, in_float64, assert_parity):
    """The reference does: it sets what enters a layer to 0 at padding, and then adds the bias of in_proj."""
    theirs, ours = pair("mamba with biases")
    with in_float64():
        alone = theirs(input_ids=TOKENS[1:, 4:]).logits
        padded = theirs(input_ids=TOKENS, attention_mask=LEFT).logits[1:, 4:]
    assert (padded - alone).abs().max() > 0.1
    assert_parity(ours(TOKENS, LEFT)[1:, 4:], alone)


@torch.no_grad()
@pytest.mark.parametrize("name", DECODERS)
def test_cached_in_chunks_and_one_at_a_time_with_padding(name, pair, assert_parity):
    _, ours = pair(name)
    whole = ours(TOKENS, LEFT)[LEFT]
    for sizes in ([1] * 13, [5, 1, 3, 4], [7, 6]):
        state, parts, at = ours.new_state(2), [], 0
        for size in sizes:
            parts.append(ours(TOKENS[:, at : at + size], LEFT[:, at : at + size], state=state))
            at += size
        assert_parity(torch.cat(parts, 1)[LEFT], whole, str(sizes))


# The reference's cache has a place for each layer of its encoder, and fails where its decoder has more.
WRITERS = [name for name in CASES if not name.startswith("bert") and name != "t5 with a deeper decoder"]


@pytest.mark.parametrize("name", WRITERS)
def test_32_greedy_tokens(name, pair, in_float64):
    theirs, ours = pair(name)
    mask = masks(name)["padded"]
    mask = None if name == "mamba with biases" else mask
    with in_float64():
        extra = {"decoder_start_token_id": 0} if theirs.config.is_encoder_decoder else {}
        expected = theirs.generate(TOKENS, attention_mask=mask, max_new_tokens=32, do_sample=False, **extra)
    assert torch.equal(generate(ours, TOKENS, mask, max_new_tokens=32, temperature=0), expected)


def test_a_sentence_encoder_and_its_pooler(loud, in_float64, assert_parity, tmp_path):
    config = reference("bert").config
    with in_float64():
        theirs = loud(hf.BertModel(config).double())
        theirs.save_pretrained(tmp_path)
    ours = hub.load(tmp_path)
    types = (torch.arange(13) > 6).long().expand(2, -1)
    with torch.no_grad(), in_float64():
        expected = theirs(TOKENS, attention_mask=RIGHT, token_type_ids=types)
        hidden = ours.hidden(ours.embed(TOKENS, types), RIGHT)
        assert_parity(hidden[RIGHT], expected.last_hidden_state[RIGHT])
        assert_parity(ours.pooled(hidden, RIGHT), expected.pooler_output)
    with pytest.raises(ValueError, match="no head"):
        ours(TOKENS)


def with_layout(kind, wrong, ending):
    """The family, but with another layout for the tensors whose names end so."""

    def table(config):
        for entry in kind.table(config):
            yield replace(entry, layout=wrong) if entry.theirs[0].endswith(ending) else entry

    return replace(kind, table=table)


@pytest.mark.parametrize(
    ("name", "wrong", "ending"),
    [
        ("gpt2", FusedByHead(4), "c_attn.bias"),
        ("gpt2", Same(), "attn.c_proj.weight"),  # square: only the numbers tell
        ("gpt_neox", Fused(), "query_key_value.weight"),
        ("gpt_neox", Fused(), "query_key_value.bias"),
    ],
)
def test_the_wrong_layout_fits_and_shows(name, wrong, ending, pair, in_float64, monkeypatch, tmp_path):
    theirs, ours = pair(name)
    right = hub.family
    monkeypatch.setattr(hub, "family", lambda kind: with_layout(right(kind), wrong, ending))
    scrambled = hub.load(tmp_path / "theirs")
    with torch.no_grad():
        expected = ask_theirs(theirs, in_float64)
        assert (ask_ours(scrambled) - expected).abs().max() > 0.1
        assert (ask_ours(ours) - expected).abs().max() < 1e-8


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3", "gpt_neox in sequence, tied, without biases"])
def test_the_wrong_rotary_pairs_show(name, pair, in_float64):
    theirs, ours = pair(name)
    ours.positions.interleaved = True
    with torch.no_grad():
        assert (ask_ours(ours) - ask_theirs(theirs, in_float64)).abs().max() > 0.1
