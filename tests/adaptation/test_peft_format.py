"""Adapters on file that are damaged, of another model, or more than LoRA: each is refused by name."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from allyouneed.adaptation import Lora, add_adapter, branches, load_adapter, save_adapter
from allyouneed.blocks import RMSNorm, Rope, SwiGLU
from allyouneed.errors import UserError
from allyouneed.models import Decoder, DecoderConfig

NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def llama(**other):
    sizes = {"vocab_size": 30, "d_model": 16, "n_layers": 2, "positions": Rope(), "norm": RMSNorm()}
    return Decoder(DecoderConfig(feedforward=SwiGLU(), **sizes | other))


@pytest.fixture
def folder(tmp_path):
    model = llama()
    add_adapter(model, Lora(rank=2))
    save_adapter(model, tmp_path, base="somebody/llama")
    return tmp_path


def test_the_files_are_as_peft_has_them(folder):
    tensors = load_file(folder / "adapter_model.safetensors")
    assert len(tensors) == 8
    assert tensors[NAME].shape == (2, 16)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert config["base_model_name_or_path"] == "somebody/llama"


def test_an_adapter_at_some_layers_names_them(tmp_path):
    model = llama()
    add_adapter(model, Lora(targets=("layers.1.*.q",)))
    save_adapter(model, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["target_modules"] == ["model.layers.1.self_attn.q_proj"]


def test_names_without_the_familys_prefix_are_read(folder):
    file, whole, bare = folder / "adapter_model.safetensors", llama(), llama()
    load_adapter(whole, folder)
    save_file({name.replace("model.model.", "model.", 1): t for name, t in load_file(file).items()}, file)
    load_adapter(bare, folder)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), bare.parameters(), strict=True))
    assert any(branch.a.any() for branch in branches(bare, "default").values())


def change(values):
    def apply(folder):
        file = folder / "adapter_model.safetensors"
        save_file(values(load_file(file)), file)

    return apply


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), "is not an adapter: it has no adapter_config.json"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "cannot read .*adapter_config.json"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "cannot read .*adapter_model.safetensors"),
        (lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"), "a pickle, which is not read"),
        (change(lambda t: t | {"base_model.model.score.weight": torch.ones(2)}), "base_model.model.score.weight"),
        (
            change(lambda t: {k: v for k, v in t.items() if k != NAME}),
            "the other half of model.layers.0.self_attn.q_proj",
        ),
        (change(lambda t: {}), "it is empty"),
        (
            change(lambda t: t | {NAME: torch.ones(2, 1)}),
            r"q_proj is of another model: there is \[2, 1\] where \[2, 16\]",
        ),
        (
            change(lambda t: t | {NAME.replace("layers.0", "layers.7"): torch.ones(2, 16)}),
            "model.layers.7.self_attn.q_proj",
        ),
    ],
)
def test_what_is_no_lora_of_this_model_is_named(damage, said, folder):
    damage(folder)
    model = llama()
    names = [name for name, _ in model.named_parameters()]
    with pytest.raises(UserError, match=said):
        load_adapter(model, folder)
    assert [name for name, _ in model.named_parameters()] == names


def test_an_adapter_of_another_size_is_refused(folder):
    with pytest.raises(UserError, match="is of another model"):
        load_adapter(llama(d_model=32), folder)
