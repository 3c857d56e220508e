"""Vision transformers against transformers' own, through the converter that users have: in float64, to 1e-10."""

import json

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from allyouneed.models import VisionEncoder, hub
from allyouneed.models.families import family
from allyouneed.models.vision import at_size

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "image_size": 12,
    "patch_size": 3,
    "num_channels": 3,
    "num_labels": 5,
    "layer_norm_eps": 1e-6,
}
CASES = {
    "plain": SMALL,
    "wide and grey, unbiased, relu": SMALL
    | {"image_size": [6, 12], "num_channels": 1, "qkv_bias": False, "hidden_act": "relu"},
    "named classes, a loud epsilon": SMALL
    | {"id2label": {0: "cat", 1: "dog"}, "label2id": {"cat": 0, "dog": 1}, "layer_norm_eps": 0.3, "patch_size": 4}
    | {"num_labels": 2},
}


def pictures(height=12, width=12, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)


@pytest.fixture
def pair(loud, in_float64, tmp_path):
    """A model of the reference, and ours read from its checkpoint."""

    def make(values, kind=hf.ViTForImageClassification, **options):
        with in_float64():
            theirs = loud(kind(hf.ViTConfig(**values, attn_implementation="eager"), **options).double())
            theirs.save_pretrained(tmp_path / "theirs")
        return theirs, hub.load(tmp_path / "theirs")

    return make


def pictures_for(theirs):
    size = theirs.config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    return pictures(height, width, theirs.config.num_channels)


@pytest.mark.parametrize("name", CASES)
def test_logits_and_gradients(name, pair, in_float64, assert_parity):
    theirs, ours = pair(CASES[name])
    pixels = pictures_for(theirs)
    with in_float64():
        expected = theirs(pixels).logits
    logits = ours(pixels)
    assert expected.abs().max() > 1  # loud
    assert_parity(logits, expected, "logits")
    upstream = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (logits * upstream).sum().backward()
    with in_float64():
        (expected * upstream).sum().backward()
    published = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    grads = {known: grad for name, grad in published.items() for known in hub.today(family("vit"), name)}
    parameters, checked = dict(ours.named_parameters()), 0
    for entry in hub.table_of(family("vit"), ours):
        for their, grad in zip(entry.theirs, entry.layout.write([parameters[our].grad for our in entry.ours])):
            assert_parity(grad, grads[their], their)
            checked += 1
    assert checked == len(published)


def test_hidden_states_pooler_and_a_mask_token_that_nothing_reads(pair, in_float64, assert_parity):
    theirs, ours = pair(SMALL, hf.ViTModel, use_mask_token=True)
    with torch.no_grad(), in_float64():
        expected = theirs(pictures())
        hidden = ours.hidden(pictures())
        assert_parity(hidden, expected.last_hidden_state)
        assert_parity(ours.pooled(hidden), expected.pooler_output)
    with pytest.raises(ValueError, match="no head"):
        ours(pictures())


def test_the_norms_epsilon_is_the_configs(pair, in_float64):
    theirs, ours = pair(CASES["named classes, a loud epsilon"])
    ours.final_norm.eps = 1e-6
    with torch.no_grad(), in_float64():
        assert (ours(pictures()) - theirs(pictures()).logits).abs().max() > 1e-4


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("remembers", [True, False])
def test_written_again_it_is_the_same_checkpoint(name, remembers, pair, tmp_path):
    theirs, ours = pair(CASES[name])
    if not remembers:
        ours.checkpoint = None
    assert hub.save(ours, tmp_path / "ours") == "vit"
    stored = load_file(tmp_path / "ours" / "model.safetensors")
    assert stored.keys() == load_file(tmp_path / "theirs" / "model.safetensors").keys()  # the published names
    again = hf.ViTForImageClassification.from_pretrained(tmp_path / "ours", dtype=torch.float64)
    said, meant = again.config.to_dict(), theirs.config.to_dict()
    for key in meant.keys() - {"_name_or_path"}:
        assert said[key] == meant[key] or [*said[key]] == [*meant[key]], key
    for tensor, value in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[tensor], value), tensor


def test_a_model_without_a_head_is_written_without_a_prefix(pair, tmp_path):
    _, ours = pair(SMALL, hf.ViTModel)
    hub.save(ours, tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["architectures"] == ["ViTModel"]
    names = load_file(tmp_path / "ours" / "model.safetensors").keys()
    assert names == load_file(tmp_path / "theirs" / "model.safetensors").keys()


def test_the_names_of_transformers_own_modules_are_read(pair, tmp_path):
    theirs, ours = pair(SMALL)
    folder = tmp_path / "new names"
    folder.mkdir()
    names = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}
    assert "vit.layers.2.attention.q_proj.weight" in names
    save_file(names, folder / "model.safetensors")
    (folder / "config.json").write_text((tmp_path / "theirs" / "config.json").read_text())
    again = hub.load(folder)
    for name, value in ours.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.parametrize(("height", "width"), [(18, 18), (6, 21), (12, 9)])
def test_positions_for_another_size(height, width, pair, in_float64, assert_parity):
    theirs, ours = pair(SMALL)
    other = at_size(ours, height, width)
    assert isinstance(other, VisionEncoder)
    pixels = pictures(height, width)
    with torch.no_grad(), in_float64():
        assert_parity(other(pixels), theirs(pixels, interpolate_pos_encoding=True).logits)
    with pytest.raises(ValueError, match="at_size"):
        ours(pixels)


def test_attention_maps(pair, in_float64, assert_parity):
    theirs, ours = pair(SMALL)
    record = {"attention": []}
    with torch.no_grad(), in_float64():
        expected = theirs(pictures(), output_attentions=True).attentions
        ours(pictures(), record)
    assert len(record["attention"]) == len(expected) == 3
    for layer, maps in zip(expected, record["attention"]):
        assert_parity(maps, layer)
