"""Checkpoints on disk: what is read, what is refused and by what name, and that a save is whole or nothing."""

import json
import shutil
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

from allyouneed.blocks import (
    Attention,
    FirstTokenPooler,
    Gelu,
    Learned,
    Mamba,
    NoHead,
    NoPositions,
    Parallel,
    RMSNorm,
    Rope,
    Sinusoidal,
    SwiGLU,
)
from allyouneed.errors import UserError
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig, EncoderDecoder, EncoderDecoderConfig, hub
from allyouneed.models import shards as shards_module

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
LLAMA = DecoderConfig(
    vocab_size=11,
    d_model=16,
    n_layers=3,
    n_heads=4,
    n_kv_heads=2,
    d_ff=24,
    max_seq_len=32,
    positions=Rope(),
    norm=RMSNorm(),
    feedforward=SwiGLU(),
    norm_eps=1e-6,
    tie_embeddings=False,
)
GPT2 = DecoderConfig(
    vocab_size=11, d_model=16, max_seq_len=32, positions=Learned(), mixer=Attention(bias=True), feedforward=Gelu()
)


@pytest.fixture
def saved(tmp_path):
    """A llama in a folder, and the folder."""
    model = Decoder(LLAMA)
    assert hub.save(model, tmp_path / "model") == "llama"
    return model, tmp_path / "model"


def edit(file, change):
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def assert_same(ours, theirs):
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


@dataclass(frozen=True)
class Foreign:
    """A block of a user's own."""

    def build(self, sizes):
        return torch.nn.Identity()


MADE_HERE = {
    "llama": (Decoder, LLAMA),
    "llama with dropout": (Decoder, replace(LLAMA, dropout=0.1)),
    "mistral": (Decoder, replace(LLAMA, mixer=Attention(window=4))),
    "qwen2": (Decoder, replace(LLAMA, mixer=Attention(bias=True, out_bias=False))),
    "qwen3": (Decoder, replace(LLAMA, mixer=Attention(qk_norm=RMSNorm()), tie_embeddings=True)),
    "gpt2": (Decoder, GPT2),
    "gpt_neox": (Decoder, replace(GPT2, positions=Rope(partial_rotary_factor=0.5), residual=Parallel())),
    "mamba": (
        Decoder,
        DecoderConfig(
            vocab_size=11, d_model=16, positions=NoPositions(), norm=RMSNorm(), mixer=Mamba(), feedforward=None
        ),
    ),
    "allyouneed": (Decoder, DecoderConfig(vocab_size=11, positions=Sinusoidal(), d_model=16)),
    "allyouneed, of two kinds of layer": (
        Decoder,
        replace(LLAMA, mixer=(Attention(), Mamba(d_state=4), Attention(window=3, qk_norm=RMSNorm()))),
    ),
    "allyouneed, interleaved": (Decoder, replace(LLAMA, positions=Rope(interleaved=True))),
    "allyouneed, an encoder": (
        Encoder,
        EncoderConfig(
            vocab_size=11, d_model=16, positions=Rope(), n_token_types=2, pooler=FirstTokenPooler(), head=NoHead()
        ),
    ),
    "allyouneed, an encoder-decoder": (
        EncoderDecoder,
        EncoderDecoderConfig(
            encoder=EncoderConfig(vocab_size=11, d_model=16, positions=Sinusoidal()),
            decoder=replace(GPT2, positions=Sinusoidal(), cross=Attention()),
        ),
    ),
}


@pytest.mark.parametrize("name", MADE_HERE)
def test_a_model_made_here_comes_back(name, tmp_path):
    kind, config = MADE_HERE[name]
    model = kind(config, seed=3)
    assert hub.save(model, tmp_path) == name.split(",")[0].split(" with")[0]
    again = hub.load(tmp_path)
    assert type(again) is kind
    assert not again.training
    assert_same(model, again)
    if kind is Decoder:
        assert torch.equal(again(TOKENS), model.eval()(TOKENS))


def test_a_block_of_ones_own_has_no_name(tmp_path):
    with pytest.raises(UserError, match="no format has words"):
        hub.save(Decoder(replace(LLAMA, feedforward=Foreign())), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_files_and_an_index(saved, tmp_path):
    model, _ = saved
    hub.save(model, tmp_path / "shards", shard_size=3000)
    files = sorted(file.name for file in (tmp_path / "shards").glob("*.safetensors"))
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((tmp_path / "shards" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(files)
    assert index["metadata"]["total_size"] == sum(p.nbytes for p in model.parameters())
    assert_same(hub.load(tmp_path / "shards"), model)
    hub.save(model, tmp_path / "shards")  # in one file again: the several are gone
    assert sorted(file.name for file in (tmp_path / "shards").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_in_another_precision(dtype, saved, tmp_path):
    _, folder = saved
    ours = hub.load(folder, dtype=dtype)
    assert {p.dtype for p in ours.parameters()} == {getattr(torch, dtype)}
    hub.save(ours, tmp_path / dtype)
    assert json.loads((tmp_path / dtype / "config.json").read_text())["dtype"] == dtype
    again = hub.load(tmp_path / dtype)
    assert_same(again, ours)
    assert next(again.parameters()).dtype == getattr(torch, dtype)
    for unsupported in ("int8", torch.int8):
        with pytest.raises(UserError, match="float32"):
            hub.load(folder, dtype=unsupported)
    with pytest.raises(UserError, match="is not there"):
        hub.load(folder, device="foo")


def test_the_precision_is_that_of_most_weights(saved):
    _, folder = saved
    file = folder / "model.safetensors"
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(file).items()}
    exact = {name: tensor.float() for name, tensor in tensors.items() if "norm" in name}
    save_file(exact | {name: tensor for name, tensor in tensors.items() if name not in exact}, file)
    assert {p.dtype for p in hub.load(folder).parameters()} == {torch.bfloat16}


def test_keys_that_nothing_here_reads_survive(saved, tmp_path):
    _, folder = saved
    edit(folder / "config.json", lambda c: c.update(pad_token_id=7, my_own={"deep": [1, 2]}))
    model = hub.load(folder)
    hub.save(model, tmp_path / "again")
    raw = json.loads((tmp_path / "again" / "config.json").read_text())
    assert raw["my_own"] == {"deep": [1, 2]}
    assert raw == json.loads((folder / "config.json").read_text())


def test_a_loaded_model_that_was_changed_is_written_as_it_is(saved, tmp_path):
    _, folder = saved
    edit(folder / "config.json", lambda c: c.update(my_own=1))
    model = hub.load(folder)
    model.config = replace(model.config, positions=Rope(theta=5e5))
    assert hub.save(model, tmp_path / "again") == "llama"
    raw = json.loads((tmp_path / "again" / "config.json").read_text())
    assert (raw["rope_theta"], raw["my_own"]) == (5e5, 1)
    assert hub.load(tmp_path / "again").config.positions == Rope(theta=5e5)


def test_words_of_older_configs(saved):
    _, folder = saved

    def older(config):
        del config["rope_parameters"], config["num_key_value_heads"], config["head_dim"], config["dtype"]
        config.update(rope_theta=300.0, rope_scaling={"type": "linear", "factor": 2.0}, num_attention_heads=2)

    edit(folder / "config.json", older)
    tensors = load_file(folder / "model.safetensors")
    for name in list(tensors):
        if "k_proj" in name or "v_proj" in name:
            tensors[name] = torch.zeros(16, 16)
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
    save_file(tensors, folder / "model.safetensors")
    model = hub.load(folder)
    assert model.config.n_kv_heads == model.config.n_heads == 2
    assert model.config.positions.theta == 300
    assert model.config.positions.scaling.factor == 2


def test_names_of_older_files(tmp_path):
    """gpt2's own file on the hub has no prefix and holds the masks; BERT's first had gamma and beta."""
    model = Decoder(GPT2)
    hub.save(model, tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(file).items()}
    save_file(tensors | {"h.0.attn.bias": torch.ones(1, 1, 32, 32, dtype=torch.uint8)}, file)
    assert_same(hub.load(tmp_path), model)


@pytest.mark.parametrize("says_tied", [True, False])
def test_whether_a_head_is_tied_is_read_from_the_tensors(says_tied, saved):
    model, folder = saved
    file = folder / "model.safetensors"
    edit(folder / "config.json", lambda c: c.update(tie_word_embeddings=says_tied))
    assert_same(hub.load(folder), model)  # its head is its own, whatever is said
    tensors = load_file(file)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, file)
    ours = hub.load(folder)
    assert torch.equal(ours.head(torch.eye(16)), ours.embedding.weight.T)
    assert (ours.unembedding is None) == says_tied
    del tensors["lm_head.weight"]
    save_file(tensors, file)
    if says_tied:
        assert hub.load(folder).unembedding is None
    else:
        with pytest.raises(UserError, match=r"missing: lm_head\.weight"):
            hub.load(folder)


def test_tensors_that_do_not_fit_are_named(saved):
    _, folder = saved
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    tensors["model.norm.weight"] = torch.zeros(17)
    tensors["model.layers.2.input_layernorm.weight"] = torch.zeros(16, dtype=torch.long)
    tensors["score.weight"] = torch.zeros(2, 16)
    save_file(tensors, file)
    with pytest.raises(UserError) as error:
        hub.load(folder)
    for part in (
        "missing: model.layers.1.mlp.up_proj.weight",
        "unexpected: score.weight",
        "model.norm.weight is [17], [16] by config.json",
        "model.layers.2.input_layernorm.weight is of type I64",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "longer", "header", "empty", "text"])
def test_a_damaged_file_is_named(damage, saved):
    _, folder = saved
    file = folder / "model.safetensors"
    data = file.read_bytes()
    middle = data.index(b'"data_offsets":[') + 16
    file.write_bytes(
        {
            "cut": data[:-7],
            "longer": data + b"1234567",
            "header": data[:middle] + b"9" + data[middle + 1 :],
            "empty": b"",
            "text": b"version https://git-lfs.github.com/spec/v1",
        }[damage]
    )
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        hub.load(folder)


def test_what_is_wrong_with_an_index_is_said(saved, tmp_path):
    model, _ = saved
    folder = tmp_path / "shards"
    hub.save(model, folder, shard_size=3000)
    index = folder / "model.safetensors.index.json"
    good = index.read_text()
    last = sorted(folder.glob("*.safetensors"))[-1]

    def refused(match):
        with pytest.raises(UserError, match=match):
            hub.load(folder)
        index.write_text(good)

    edit(index, lambda i: i["weight_map"].update({"model.norm.weight": "../model/model.safetensors"}))
    refused("not a file beside it")
    edit(index, lambda i: i["weight_map"].update({"model.norm.weight": "model-00001-of-00009.safetensors"}))
    refused("which is missing")
    edit(index, lambda i: i["weight_map"].update({"lm_head.weight": "model-00001-of-00005.safetensors"}))
    refused("missing|does not hold")
    index.write_text("[]")
    refused("not an index")
    last.rename(folder / "elsewhere")
    refused(f"{last.name}, which is missing")


def test_pickles_are_not_read(saved):
    _, folder = saved
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin, a pickle.*safetensors"):
        hub.load(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match="no weights"):
        hub.load(folder)


def test_a_config_that_is_not_understood_is_refused(saved):
    _, folder = saved
    good = (folder / "config.json").read_text()

    def refused(match, **changes):
        edit(folder / "config.json", lambda c: c.update(changes))
        with pytest.raises(UserError, match=match):
            hub.load(folder)
        (folder / "config.json").write_text(good)

    refused(r"'mixtral' are not read; known: .*llama.*; the nearest is mistral", model_type="mixtral")
    refused("hidden_act = 'tanh'", hidden_act="tanh")
    refused("quantized", quantization_config={"quant_method": "gptq"})
    refused("'dynamic' are not supported", rope_scaling={"rope_type": "dynamic", "factor": 2.0})
    refused("has no factor", rope_scaling={"rope_type": "linear"})
    refused("n_heads 3", num_attention_heads=3)
    refused("is no number", rms_norm_eps="1e-5")
    refused("is no number", rope_parameters=None, rope_scaling=None, rope_theta="x")
    refused("config.json", rope_scaling="linear")
    refused("config.json", num_hidden_layers=2.0)
    refused("head is not read", architectures=["LlamaForSequenceClassification"])
    refused("stand under 'model'", model_type="allyouneed", model=5)
    edit(folder / "config.json", lambda c: c.pop("hidden_size"))
    with pytest.raises(UserError, match="has no hidden_size"):
        hub.load(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(UserError, match="must hold an object"):
        hub.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        hub.load(folder)


def test_a_save_that_fails_leaves_what_was_there(saved, monkeypatch):
    model, folder = saved
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    written = []

    def full(tensors, file, metadata):
        if written:
            raise OSError(28, "No space left on device")
        written.append(file)
        save_file(tensors, file, metadata)

    monkeypatch.setattr(shards_module, "save_file", full)
    with torch.no_grad():
        model.embedding.weight.zero_()
    with pytest.raises(UserError, match="No space left on device"):
        hub.save(model, folder, shard_size=3000)
    assert written
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_what_is_not_of_a_save_stays(saved):
    model, folder = saved
    (folder / "model_best_backup.safetensors").write_bytes(b"precious")
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"of an older save")
    hub.save(model, folder)
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["config.json", "model.safetensors", "model_best_backup.safetensors"]


def test_a_folder_in_the_way_is_found_before_anything_moves(saved):
    model, folder = saved
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    before = (folder / "model.safetensors").read_bytes()
    with torch.no_grad():
        model.embedding.weight.zero_()
    with pytest.raises(UserError, match="nothing there was changed"):
        hub.save(model, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_save_killed_between_two_moves_passes_for_no_checkpoint(saved, monkeypatch):
    model, folder = saved
    replace_file, moved = shards_module.os.replace, []

    def killed(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace_file(source, target)

    monkeypatch.setattr(shards_module.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        hub.save(model, folder, shard_size=3000)
    with pytest.raises(UserError, match=r"no config\.json"):
        hub.load(folder)


def test_a_model_without_a_head(tmp_path):
    for config in (LLAMA, GPT2, replace(GPT2, positions=Rope(partial_rotary_factor=0.5), residual=Parallel())):
        bare = Decoder(replace(config, head=NoHead(), tie_embeddings=False))
        name = hub.save(bare, tmp_path / "bare")
        again = hub.load(tmp_path / "bare")
        assert_same(again, bare)
        theirs = AutoModel.from_pretrained(tmp_path / "bare", attn_implementation="eager").eval()
        assert type(theirs).__name__.endswith("Model"), name
        with torch.no_grad():
            assert torch.allclose(again.hidden(TOKENS), theirs(TOKENS).last_hidden_state, atol=1e-5)


MEANS_ANOTHER = {
    "part of a head turns": replace(LLAMA, positions=Rope(partial_rotary_factor=0.5)),
    "channels that are no multiple": replace(MADE_HERE["mamba"][1], mixer=Mamba(d_inner=50)),
}


@pytest.mark.parametrize("what", MEANS_ANOTHER)
def test_what_others_would_read_as_another_model_is_saved_as_our_own(what, tmp_path):
    model = Decoder(MEANS_ANOTHER[what])
    assert hub.save(model, tmp_path) == "allyouneed"
    assert_same(hub.load(tmp_path), model)


def test_a_model_made_here_names_no_token_that_ends_a_text(tmp_path):
    hub.save(Decoder(LLAMA), tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.eos_token_id is None
    assert config.bos_token_id is None


def test_a_folder_that_cannot_be_written_to(saved, tmp_path):
    model, _ = saved
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        hub.save(model, tmp_path / "file" / "out")


def test_names_on_the_hub_need_the_hub(monkeypatch, tmp_path):
    import huggingface_hub

    def offline(name, allow_patterns):
        raise ConnectionError("Network is unreachable")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match="Network is unreachable"):
        hub.load("openai-community/gpt2")
    with pytest.raises(UserError, match="there is no folder"):
        hub.load(tmp_path / "nowhere")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(tmp_path / "pickled"))
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda name: ["config.json", "pytorch_model.bin"])
    with pytest.raises(UserError, match="a pickle"):
        hub.load("someone/old")
    with pytest.raises(UserError, match="there is no folder"):
        hub.load("./nowhere")
    model = Decoder(LLAMA)
    hub.save(model, tmp_path / "fetched")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(tmp_path / "fetched"))
    assert_same(hub.load("someone/llama"), model)


def test_loading_draws_nothing_and_leaves_no_mark_on_the_generator(saved):
    _, folder = saved
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    hub.load(folder)
    assert torch.equal(torch.rand(3), expected)


def test_the_folder_may_be_gone_after_loading(saved):
    model, folder = saved
    ours = hub.load(folder)
    shutil.rmtree(folder)
    assert_same(ours, model)
