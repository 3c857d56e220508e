"""`finetune` and `merge`, from a file of conversations to a checkpoint that answers."""

import json

import pytest
import torch
from typer.testing import CliRunner

from allyouneed.adaptation import finetuning
from allyouneed.blocks import Attention, Gelu, Learned, RMSNorm, Rope, SwiGLU
from allyouneed.cli import app
from allyouneed.errors import UserError
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig, hub
from allyouneed.tokenizers.subwords import train_subwords

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}"
    "{% if message.role == 'assistant' %}<end>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SIZES = {"d_model": 32, "n_layers": 2, "max_seq_len": 96}
LLAMA = {"positions": Rope(), "norm": RMSNorm(), "feedforward": SwiGLU()}
GPT2 = {"positions": Learned(), "mixer": Attention(bias=True), "feedforward": Gelu(approximate="tanh")}
COLOURS = ["red", "blue", "green", "grey"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    texts = [f"<user>colour {n}?<assistant>{COLOURS[n % 4]}" for n in range(99)]
    tokenizer = train_subwords(texts, 90, special=("<end>",))
    config = DecoderConfig(
        vocab_size=tokenizer.vocab_size, positions=Rope(), norm=RMSNorm(), feedforward=SwiGLU(), **SIZES
    )
    for name, model in {
        "base": Decoder(config),
        "gpt2": Decoder(DecoderConfig(vocab_size=tokenizer.vocab_size, **GPT2, **SIZES)),
        "encoder": Encoder(EncoderConfig(vocab_size=tokenizer.vocab_size, **GPT2, **SIZES)),
    }.items():
        hub.save(model, folder / name)
        (folder / name / "tokenizer.json").write_text(tokenizer.to_dict()["description"])
        settings = {"eos_token": "<end>", "chat_template": TEMPLATE}
        (folder / name / "tokenizer_config.json").write_text(json.dumps(settings))
    chats = [
        {"messages": [{"role": "user", "content": f"colour {n}?"}, {"role": "assistant", "content": COLOURS[n % 4]}]}
        for n in range(60)
    ]
    write(folder / "chat.jsonl", chats)
    write(folder / "pairs.jsonl", [{"prompt": f"colour {n}?", "completion": COLOURS[n % 4]} for n in range(60)])
    return folder


def write(file, values):
    file.write_text("".join(json.dumps(value) + "\n" for value in values))


@pytest.fixture
def call(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def run(*words):
        done = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    return run


def finetune(call, out, *more, model="base", data="chat.jsonl"):
    words = ("finetune", "--model", model, "--data", data, "--out", out, "--lr", "1e-2", "--steps", "25", "--json")
    return json.loads(call(*words, "--batch-size", "4", *more).stdout)


def test_lora_learns_and_is_merged_into_a_checkpoint(call, folder):
    found = finetune(call, "adapter")
    assert found["held-out loss after"] < found["held-out loss before"] - 0.5
    assert [len(found["answers"]), found["held out"]] == [5, 6]
    assert {answer["expected"] for answer in found["answers"]} <= set(COLOURS)
    assert found["next"][0] == "allyouneed merge adapter --out adapter-merged"
    names = {file.name for file in (folder / "adapter").iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors", "report.md", "finetune.json"}
    page = (folder / "adapter" / "report.md").read_text()
    assert found["answers"][0]["question"] in page
    call(*found["next"][0].split()[1:])
    again = call("generate", "adapter-merged", "--chat", found["answers"][0]["question"], "--temperature", "0")
    assert again.stdout.strip().startswith(found["answers"][0]["after"].strip()[:10])
    with pytest.raises(UserError, match=r"is an adapter .*allyouneed merge adapter"):
        CliRunner().invoke(app, ["generate", "adapter", "x"], catch_exceptions=False)


def test_full_fine_tuning_writes_a_checkpoint_with_its_tokenizer(call, folder):
    found = finetune(call, "model", "--method", "full", data="pairs.jsonl")
    assert found["held-out loss after"] < found["held-out loss before"] - 0.5
    assert "100.00%" in found["trained weights"]
    assert hub.load(folder / "model").config == hub.load(folder / "base").config
    assert hub.tokenizer(folder / "model").eos_ids


def test_a_dry_run_says_what_it_needs_and_writes_nothing(call, folder):
    done = call("finetune", "--model", "base", "--data", "chat.jsonl", "--dry-run", "--out", "nothing")
    assert "gradients and Adam" in done.stdout
    assert "s a step, measured" in done.stdout
    assert not (folder / "nothing").exists()


def test_their_name_of_a_fused_matrix_means_one_a(call, folder):
    finetune(call, "fused", "--targets", "c_attn", "--rank", "3", model="gpt2")
    config = json.loads((folder / "fused" / "adapter_config.json").read_text())
    assert (config["target_modules"], config["r"]) == (["c_attn"], 3)
    finetune(call, "apart", "--targets", "q,v", "--rank", "3", model="gpt2")
    config = json.loads((folder / "apart" / "adapter_config.json").read_text())
    assert (config["target_modules"], config["r"], config["lora_alpha"]) == (["c_attn"], 6, 6)
    call("merge", "fused", "--out", "fused-merged", "--model", "gpt2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "encoder"], "encoder has no head that predicts the next token|cannot write|decoders"),
        (["--model", "nowhere/at/all"], "there is no folder nowhere/at/all"),
        (["--data", "missing.jsonl"], "cannot read missing.jsonl"),
        (["--data", "bad.jsonl"], r"bad.jsonl:3: not JSON"),
        (["--targets", "w"], r"'\*.w' names nothing to adapt"),
        (["--max-len", "4"], "none has an answer within the first 4 tokens"),
        (["--data", "one.jsonl"], "none would be left to train on"),
    ],
)
def test_bad_input_is_named(words, said, call, folder):
    lines = (folder / "chat.jsonl").read_text().splitlines()
    (folder / "bad.jsonl").write_text("\n".join([*lines[:2], lines[2][:-3]]))
    (folder / "one.jsonl").write_text(lines[0])
    given = {"--model": "base", "--data": "chat.jsonl", "--out": "nothing"} | dict([words])
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(app, ["finetune", *(w for pair in given.items() for w in pair)], catch_exceptions=False)
    assert not (folder / "nothing").exists()


def test_what_does_not_fit_names_the_option_that_would(call, monkeypatch):
    monkeypatch.setattr("allyouneed.adaptation.memory.available", lambda device: 1_500_000)
    with pytest.raises(UserError, match=r"about \S+ MB, and 1.50 MB are free. It would fit with --micro-batch-size"):
        finetune(call, "nothing")


def test_running_out_of_memory_names_it_too(call, monkeypatch):
    def fails(job):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(finetuning, "held_out_loss", fails)
    with pytest.raises(UserError, match=r"out of memory. It would fit with --"):
        finetune(call, "nothing")


def test_an_adapter_without_its_base_asks_for_it(call, folder, tmp_path):
    finetune(call, "lost")
    file = folder / "lost" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": None}))
    with pytest.raises(UserError, match="add --model"):
        call("merge", "lost", "--out", tmp_path / "m")
    with pytest.raises(UserError, match="is not an adapter"):
        call("merge", "base", "--out", tmp_path / "m")
