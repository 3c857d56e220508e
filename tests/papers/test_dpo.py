"""What the study of dpo rests on besides the library: its measurements, its arms, and the run on a user's pairs."""

import json
import math

import numpy as np
import pytest
import torch

from allyouneed.alignment import dpo_loss
from allyouneed.data.preferences import PreferencePair
from allyouneed.data.tasks.enumerable import expected, tilted
from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options
from allyouneed.lab.trials.run import Run
from allyouneed.papers.dpo import study

SMOKE = study.study.scales["smoke"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return study.World(Run(folder, 0, "cpu", None, folder), SMOKE)


def test_the_reference_stands_on_the_frontier_and_earns_nothing_more(world):
    found = world.measure(world.policy(), beta=1.0)
    assert found["kl"] == pytest.approx(0, abs=1e-9)
    assert found["gain"] == pytest.approx(0, abs=1e-9)
    assert found["gap"] == pytest.approx(0, abs=1e-4)
    assert found["regret"] > 0.1


def test_the_best_policy_has_neither_gap_nor_regret(world, monkeypatch):
    best = tilted(world.reference, study.LANGUAGE.rewards, 0.5)
    monkeypatch.setattr(study, "exact_policy", lambda policy, length: best)
    found = world.measure(None, beta=0.5)
    assert (found["gap"], found["regret"], found["distance"]) == pytest.approx((0, 0, 0), abs=1e-8)
    assert found["reward"] == pytest.approx(expected(best, study.LANGUAGE.rewards))
    assert world.measure(None, beta=2.0)["regret"] > 0.1


def test_pairs_are_a_seeds_own_and_carry_the_reference(world):
    pairs, again, held_out = (world.pairs(50, part) for part in (study.TRAIN, study.TRAIN, study.HELD_OUT))
    assert np.array_equal(pairs.tokens.tokens, again.tokens.tokens)
    assert not np.array_equal(pairs.tokens.tokens, held_out.tokens.tokens)
    batch = pairs.at(np.arange(50))
    numbers = (batch.targets.numpy() @ 6 ** np.arange(study.LENGTH)[::-1]).astype(int)
    np.testing.assert_allclose(batch.reference.numpy(), world.reference[numbers], rtol=1e-6)


def test_ipo_and_dpo_want_the_same_margin_between_answers_of_nearly_one_reward():
    beta, difference = 0.7, 0.01
    wins = 1 / (1 + math.exp(-difference))
    grid = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    zero = torch.zeros_like(grid)

    def least(loss):
        mean = wins * loss(grid, zero, zero, zero, beta) + (1 - wins) * loss(zero, grid, zero, zero, beta)
        return float(grid[mean.argmin()])

    assert least(dpo_loss) == pytest.approx(difference / beta, abs=2e-4)
    assert least(study.ipo) == pytest.approx(difference / beta, abs=2e-4)


@pytest.mark.parametrize(("chosen", "rejected", "right"), [("a", "bb", 1.0), ("aa", "b", 0.0), ("a", "b", 0.5)])
def test_the_trivial_predictor_of_text(chosen, rejected, right):
    assert study.shorter_is_preferred(PreferencePair("x", chosen, rejected)) == right


def test_bits_per_byte_by_hand():
    pairs = [PreferencePair("x", "abc", "d"), PreferencePair("x", "ä", "d")]  # 4 and 3 bytes with their ends
    assert study.bits_per_byte(np.array([-4, -3]) * math.log(2), pairs) == pytest.approx(1.0)


def test_it_runs_on_a_users_own_pairs(tmp_path):
    random, words = np.random.default_rng(0), ["red", "green", "blue", "black", "white"]

    def said():
        return " " + " ".join(random.choice(words, 4))

    pairs = [
        {"prompt": f"\n\nHuman: what of {i}?\n\nAssistant:", "chosen": said(), "rejected": said() + "!"}
        for i in range(200)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    options = Options("dpo", scale="smoke", jobs=1, out=tmp_path / "runs", data=str(tmp_path / "pairs.jsonl"))
    outcome = run_study(options)
    assert not outcome.failures
    judged = {j.id: (j.word, j.reason) for j in outcome.judgements}
    assert set(judged) == set(study.study.claims)
    assert all(judged[claim][0] == "not run" for claim in study.EXACT)
    assert not [judged[claim] for claim in ("C7", "C8", "C9") if judged[claim][0] == "not run"]
