"""A strange study: no model is trained, nothing imports torch, and the unit is the item.

Three models have answered the same questions, at three prices. Does a cascade (ask the cheap one, pay
for the dear one only where the cheap one is unsure) keep the dear one's accuracy at half its price?
"""

import json

from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options

CASCADE = '''
"""A cascade of recorded models."""

import random
import sys
from dataclasses import dataclass

from allyouneed.lab import Study

PRICE = {"small": 1.0, "medium": 4.0, "large": 20.0}
SKILL = {"small": 0.6, "medium": 0.75, "large": 0.9}


@dataclass(frozen=True)
class Scale:
    questions: int = 400
    minutes: float = 0.01
    seeds: int = 1


study = Study(paper="cascade", scales={"laptop": Scale()})


def recorded_answers(questions):
    """(right, sure) of each model on each question; the sure ones are right more often."""
    rng = random.Random(7)
    hard = [rng.random() for _ in range(questions)]
    return {name: [(h < skill, h < skill * rng.uniform(0.8, 1.1)) for h in hard] for name, skill in SKILL.items()}


@study.trial(arm=["small", "large", "cascade"])
def answer(arm, seed, scale, run):
    assert "torch" not in sys.modules
    answers, right, price = recorded_answers(scale.questions), [], []
    for question in range(scale.questions):
        asked = ["small", "medium", "large"] if arm == "cascade" else [arm]
        paid = 0.0
        for name in asked:
            correct, sure = answers[name][question]
            paid += PRICE[name]
            if sure:
                break
        right.append(float(correct))
        price.append(paid)
    return {"right": right, "price": price}


@study.gate(baseline="a coin")
def better_than_a_coin(m):
    return m.above("right", 0.5)


@study.claim("C1", paper="98 % cheaper (Table 3)")
def cheaper(m):
    """The cascade costs less than half of what the large model costs."""
    return m.effect(lambda u: u["cascade"]["price"] - 0.5 * u["large"]["price"], unit="items").below(0)


@study.claim("C2", paper="accuracy of GPT-4 (Table 3)")
def as_good(m):
    """The cascade is right no less often than the large model (margin 0.05)."""
    return m.effect(lambda u: u["large"]["right"] - u["cascade"]["right"], unit="items").below(0.05)
'''


def test_choosing_among_recorded_answers_by_price(tmp_path):
    file = tmp_path / "cascade_study.py"
    file.write_text(CASCADE)
    outcome = run_study(Options(str(file), out=tmp_path / "runs", jobs=1))
    assert not outcome.failures
    verdicts = {j.id: j for j in outcome.judgements}
    assert verdicts["C1"].word == "holds"
    assert verdicts["C1"].evidence.unit == "items"
    assert verdicts["C1"].evidence.n == 400
    assert verdicts["C2"].word in ("holds", "inconclusive", "contradicted")
    assert json.dumps(verdicts["C2"].to_dict())
