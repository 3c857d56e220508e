"""`allyouneed dpo` on a small checkpoint: what it says, what it saves, and what is wrong with bad input."""

import json

import pytest
import torch

import allyouneed as ayn
from allyouneed.adaptation import load_adapter
from allyouneed.blocks import RMSNorm, Rope, SwiGLU
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig
from allyouneed.tokenizers.subwords import train_subwords

GOOD, BAD = " yes, please", " no, never"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    words = train_subwords([f"shall we {i}? {GOOD} {BAD}" for i in range(100)], 80, special=("<end>",))
    config = DecoderConfig(
        vocab_size=words.vocab_size,
        d_model=32,
        n_layers=1,
        max_seq_len=64,
        positions=Rope(),
        norm=RMSNorm(),
        feedforward=SwiGLU(),
    )
    ayn.save(Decoder(config, seed=0), folder)
    (folder / "tokenizer.json").write_text(words.to_dict()["description"])
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>"}))
    return folder


def write(path, n=30, prompt="shall we {}?"):
    rows = [{"prompt": prompt.format(i), "chosen": GOOD, "rejected": BAD} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_learns_what_is_preferred_and_saves_it(cli, folder, tmp_path, method):
    data = write(tmp_path / "pairs.jsonl")
    words = ["--steps", "25", "--lr", "5e-3", "--method", method, "--batch-size", "8", "--out", "out"]
    answer = cli("dpo", "--model", str(folder), "--data", data, *words, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["pairs"], found["held out"]) == (27, 3)
    assert found["told_apart before"] == 0  # it is the reference, and prefers nothing
    assert found["told_apart after"] == 1
    assert found["margin after"] > 1
    assert found == json.loads((tmp_path / "out" / "dpo.json").read_text())
    assert not (tmp_path / "out" / "training").exists()
    before, policy = (ayn.load(folder) for _ in range(2))
    if method == "lora":
        load_adapter(policy, tmp_path / "out")
        assert found["next"][0] == "allyouneed merge out --out out-merged"
        assert cli("merge", "out", "--out", "out-merged").code == 0
    else:
        policy = ayn.load(tmp_path / "out")
        assert cli("generate", "out", "shall we 3?", "--max-new-tokens", "3").code == 0
    tokenizer = ayn.tokenizer(folder)

    def preference(model):
        rows = [tokenizer.encode("shall we 3?" + answer) for answer in (GOOD, BAD)]
        n = len(tokenizer.encode("shall we 3?"))
        log_p = [
            model(torch.tensor([row])).log_softmax(-1)[0, n - 1 : -1].gather(-1, torch.tensor(row[n:])[:, None])
            for row in rows
        ]
        return float((log_p[0].sum() - log_p[1].sum()).detach())

    assert preference(policy) > preference(before) + 1


def test_it_says_what_it_does_to_people(cli, folder, tmp_path):
    data = write(tmp_path / "pairs.jsonl")
    answer = cli("dpo", "--model", str(folder), "--data", data, "--steps", "2", "--loss", "ipo")
    assert answer.code == 0
    assert "of the held-out pairs; the shorter answer would be right in" in " ".join(answer.out.split())
    assert "allyouneed merge aligned --out aligned-merged" in answer.out
    assert "longer than" not in answer.out


def test_what_does_not_fit_is_named_and_a_dry_run_changes_nothing(cli, folder, tmp_path):
    data = write(tmp_path / "pairs.jsonl", prompt="shall we {0}? " * 20)
    answer = cli("dpo", "--model", str(folder), "--data", data, "--dry-run")
    assert answer.code == 0
    assert "27 prompts lost their beginning and 0 pairs are left out: they are longer than 64 tokens" in " ".join(
        answer.out.split()
    )
    assert not (tmp_path / "aligned").exists()
    answer = cli("dpo", "--model", str(folder), "--data", data, "--max-len", "4")
    assert answer.code == 1
    assert "none has answers that fit into 4 tokens" in answer.err


def test_bad_input_is_said_in_a_line(cli, folder, tmp_path):
    words = ["dpo", "--model", str(folder), "--data"]
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a", "chosen": "b"}\n')
    assert "bad.jsonl:2: there is no rejected" in cli(*words, str(path)).err
    assert "cannot read" in cli(*words, "nowhere.jsonl").err
    assert "all pairs have one prompt" in cli(*words, write(tmp_path / "one.jsonl", 3, prompt="the same")).err
    data = write(tmp_path / "pairs.jsonl")
    ayn.save(Encoder(EncoderConfig(vocab_size=80, positions=Rope())), tmp_path / "encoder")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "encoder" / file).write_text((folder / file).read_text())
    answer = cli("dpo", "--model", "encoder", "--data", data)
    assert answer.code == 1
    assert "cannot write" in answer.err
    assert cli("dpo", "--model", str(folder), "--data", data, "--loss", "best").code == 2
