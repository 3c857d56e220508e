"""What the study of the transformer takes for granted: equal sizes, agreement with itself, one clock."""

import json
import math

import pytest
import torch

from allyouneed.data.pairs import Pairs
from allyouneed.generation import translate
from allyouneed.lab.engine import Options, run_study
from allyouneed.papers.transformer import study as paper

SMOKE, LAPTOP = (paper.study.scales[name] for name in ("smoke", "laptop"))
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
PAIRS = [(f"{a} {b}", f"{b}-{a}") for a in WORDS for b in WORDS]


@pytest.mark.parametrize("name", ["laptop", "laptop-multi30k", "gpu"])
def test_contenders_are_of_one_size(name):
    scale = paper.study.scales[name]
    sizes = {arm: sum(p.numel() for p in c.build(scale, 0).parameters()) for arm, c in paper.CONTENDERS.items()}
    assert max(sizes.values()) < 1.03 * min(sizes.values()), sizes


def test_torchs_translator_steps_as_it_runs():
    model = paper.FromTorch().build(LAPTOP, 0).eval()
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(3, 90, (3, n), generator=generator) for n in (6, 5))
    mask = torch.arange(6) < torch.tensor([[6], [3], [1]])
    whole = model(source, target, mask=mask)
    state = model.new_state(source, mask)
    for place in range(5):
        logits, state = model.step(target[:, place : place + 1], state)
        torch.testing.assert_close(logits, whole[:, place], rtol=0, atol=1e-5)  # float32, other shapes
    rows = torch.tensor([2, 0])
    again, _ = model.step(target[rows, :1], state.select(rows))
    assert again.shape == (2, LAPTOP.vocab_size)


@pytest.fixture(scope="module")
def tokenizer():
    return paper.prepare(Pairs("p", PAIRS, PAIRS[:5], PAIRS[:5]), SMOKE)[0]


def test_an_attention_map_names_what_was_read_and_written(tokenizer):
    model = paper.Transformer().build(SMOKE, 0)
    seen = json.loads(paper.attention_map(model, PAIRS[3], tokenizer))
    assert "".join(seen["source"]) == PAIRS[3][0] + "<end>"
    assert "".join(seen["target"]) == PAIRS[3][1] + "<end>"
    assert [len(row) for row in seen["weights"]] == [len(seen["source"])] * len(seen["target"])
    assert all(math.isclose(sum(row), 1, rel_tol=1e-5) for row in seen["weights"])


def test_long_sources_are_left_out_of_the_scores(tokenizer):
    long = (" ".join(WORDS * 40), "x")
    assert paper.short([PAIRS[0], long], tokenizer) == PAIRS[:1]
    model = paper.Transformer(positions=paper.Learned()).build(SMOKE, 0)
    assert len(translate(model, [PAIRS[0][0]], tokenizer, max_new_tokens=paper.LONGEST)) == 1


def test_the_budget_becomes_steps_once_for_all(tmp_path):
    options = Options(
        "transformer", scale="smoke", claims=("C9",), seeds=2, out=tmp_path, overrides={"budget_minutes": "0.005"}
    )
    m = run_study(options).measurements["translate_for_minutes"]
    (file,) = tmp_path.glob("artifacts/seconds_a_step-*/seconds.json")
    seconds = json.loads(file.read_text())
    for arm in paper.CONTENDERS:
        assert m.values("steps", arm).tolist() == [max(1, int(60 * 0.005 / seconds[arm]))] * 2
