"""What the study of the transformer takes for granted: equal sizes, agreement with itself, one clock."""

import dataclasses
import json
import math

import pytest
import torch

from allyouneed.blocks import Context
from allyouneed.data.pairs import Pairs
from allyouneed.data.pairs.number_words import number_words
from allyouneed.generation import translate
from allyouneed.lab.engine import run_study
from allyouneed.lab.judging.evidence import ClaimError
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.options import Options
from allyouneed.lab.trials.result import TrialResult
from allyouneed.papers.transformer import study as paper

SMOKE, LAPTOP = (paper.study.scales[name] for name in ("smoke", "laptop"))
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
PAIRS = [(f"{a} {b}", f"{b}-{a}") for a in WORDS for b in WORDS]


@pytest.mark.parametrize("name", ["laptop", "laptop-*", "gpu"])
def test_contenders_are_of_one_size(name):
    scale = paper.study.scales[name]
    arms = paper.CONTENDERS | {"GRU": paper.Recurrent(paper.FinalState())}
    sizes = {arm: sum(p.numel() for p in contender.build(scale, 0).parameters()) for arm, contender in arms.items()}
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


def test_long_sources_have_no_place(tokenizer):
    assert paper.is_short(PAIRS[0], tokenizer)
    assert not paper.is_short((" ".join(WORDS * 40), "x"), tokenizer)
    longest = max(
        (" ".join(WORDS * n) for n in range(1, 40)), key=lambda s: paper.is_short((s, ""), tokenizer) * len(s)
    )
    model = paper.Transformer(positions=paper.LearnedInstead()).build(SMOKE, 0)
    assert len(translate(model, [longest], tokenizer, max_new_tokens=paper.LONGEST)) == 1


def test_long_sentences_of_the_test_leave_groups_with_their_own(tokenizer):
    """Of three kinds one is too long; the others keep their own scores."""
    test = [(" ".join(WORDS * 40), "x"), ("one", "right"), ("two", "wrong"), ("three", "right")]
    pairs = Pairs("p", PAIRS, PAIRS[:9], test, {"test": ["long", "a", "b", "a"]})
    model = paper.Transformer().build(SMOKE, 0)
    translations, measured = paper.measure(model, pairs, tokenizer, SMOKE)
    assert [source for source, _, _ in translations] == ["one", "two", "three"]
    assert {name for name in measured if name.startswith("exact, ")} == {"exact, a", "exact, b"}


def test_the_step_at_which_a_share_is_reached_lies_between_those_logged():
    rows = [{"step": 10, "right": 0.0}, {"step": 20, "right": 0.4}, {"step": 30, "right": 0.8}]
    assert paper.steps_to(rows, 0.6) == pytest.approx(25)
    assert paper.steps_to([*rows[:1], {"step": 20, "right": 1.0}], 0.5) == pytest.approx(15)
    assert paper.steps_to(rows, 0.9) == math.inf
    assert paper.steps_to([{"step": 10, "right": 1.0}], 0.5) == pytest.approx(5)


@pytest.mark.parametrize(
    ("transformer", "gru", "word"), [(math.inf, math.inf, "contradicted"), (100, math.inf, "holds")]
)
def test_who_never_arrives_is_not_favoured(transformer, gru, word):
    """With steps of equal cost; a GRU that never arrives counts as all steps, a transformer as twice as many."""
    arms = {paper.TRANSFORMER: transformer, paper.WITH_ATTENTION: gru}
    results = [
        TrialResult("translate", arm, seed, {"steps_to_half": steps + seed}, [], {}, 1.0, {})
        for arm, steps in arms.items()
        for seed in range(5)
    ]
    timed = [
        TrialResult(
            "train_ten_batches", arm, 0, {"seconds": [1.0 + (arm == paper.TRANSFORMER) / 9] * 7}, [], {}, 0.0, {}
        )
        for arm in arms
    ]
    m = Measurements([*results, *timed], trial="translate", scale=LAPTOP)
    if word == "contradicted":  # nothing varies where nobody arrives
        with pytest.raises(ClaimError, match="never varies"):
            paper.needs_less_time(m)
    else:
        assert paper.needs_less_time(m).word == word


@pytest.mark.parametrize("name", ["laptop", "laptop-*", "gpu"])
def test_the_baseline_of_the_gates_can_be_asked_at_every_vocabulary(name):
    scale = dataclasses.replace(paper.study.scales[name], n_train=500)
    pairs = number_words("en", "fr")
    m = Measurements([], trial="translate", data=pairs, scale=scale)
    assert 0.5 < paper.target_model_loss(m) < 6


def test_learned_positions_stand_in_for_the_waves_and_nothing_else_changes():
    waves, learned = (
        p.build(dataclasses.replace(LAPTOP), 0)
        for p in (paper.Transformer(), paper.Transformer(positions=paper.LearnedInstead()))
    )
    tokens = torch.arange(3, 90)[None]
    loud = [
        m.encoder.positions.embed(m.encoder.embedding(tokens), Context.of(tokens, causal=False))
        for m in (waves, learned)
    ]
    assert float(loud[1].detach().std()) == pytest.approx(float(loud[0].detach().std()), rel=0.35)


def test_the_budget_becomes_steps_once_for_all(tmp_path):
    options = Options(
        "transformer", scale="smoke", claims=("C9",), seeds=2, out=tmp_path, overrides={"budget_minutes": "0.005"}
    )
    m = run_study(options).measurements["translate_for_minutes"]
    files = list(tmp_path.glob("artifacts/seconds_a_step-*/seconds.json"))
    fit = sorted(max(1, int(60 * 0.005 / json.loads(file.read_text()))) for file in files)
    assert sorted(m.values("steps", arm)[0] for arm in paper.CONTENDERS) == fit
    assert all(len({*m.values("steps", arm)}) == 1 for arm in paper.CONTENDERS)
