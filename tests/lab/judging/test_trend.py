"""How an effect moves with the model's size: which word, for which moves, and how often by chance."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from allyouneed.lab.judging.effects import Effect
from allyouneed.lab.judging.evidence import Evidence
from allyouneed.lab.judging.statistics import smallest_effect
from allyouneed.lab.judging.trend import Trend, tell

LUCK = np.array([-0.03, -0.01, 0.0, 0.01, 0.03])
WOBBLE = np.array([0.002, -0.004, 0.003, 0.001, -0.002])  # what a size adds of its own, mean 0


def evidence(values, low=0.0, high=math.inf, seeds=None, is_log=False) -> Evidence:
    values = np.asarray(values, dtype=float)
    seeds = tuple(seeds if seeds is not None else range(len(values)))
    return Effect(values, "seeds", 0.95, "a - b", seeds, (), is_log=is_log).between(low, high)


def told(means, low=0.0, high=math.inf) -> Trend:
    """The trend of effects with these means at sizes 16, 32, ...; the seeds share their luck."""
    found = [evidence(m + LUCK + sign * WOBBLE, low, high) for m, sign in zip(means, (1, -1, 2, -2))]
    names = [str(16 * 2**place) for place in range(len(means))]
    return tell("d_model", list(zip(names[:-1], found[:-1])), names[-1], found[-1])


@pytest.mark.parametrize(
    ("means", "bars", "word", "against"),
    [
        ((0.09, 0.13), (0, math.inf), "grows", False),
        ((0.09, 0.13), (-math.inf, 0.2), "shrinks", False),
        ((0.13, 0.09), (0, math.inf), "shrinks", False),
        ((0.09, 0.0901), (0, math.inf), "stays", False),
        ((0.09, 0.0), (0, math.inf), "vanishes", False),
        ((0.0, 0.09, 0.0), (0, math.inf), "stays", False),
        ((0.01, 0.09, -0.01), (0, math.inf), "vanishes", False),
        ((-0.02, 0.02), (0, math.inf), "grows", False),
        ((0.02, -0.02), (0, math.inf), "shrinks", False),
        ((-0.09, -0.13), (0, math.inf), "grows", True),
        ((0.09, -0.13), (0, math.inf), "grows", True),
        ((-0.13, -0.09), (0, math.inf), "shrinks", True),
        ((-0.13, 0.0), (0, math.inf), "vanishes", True),
        ((0.13, 0.09), (-math.inf, 0.2), "grows", False),
        ((0.13, 0.09), (-0.2, 0.2), "grows", False),
        ((-0.09, -0.13), (-0.2, 0.2), "shrinks", False),
        ((0.3, 0.34), (-0.2, 0.2), "grows", True),
    ],
)
def test_the_word_says_whether_the_verdict_is_likely_to_carry_further(means, bars, word, against):
    said = told(means, *bars)
    assert (said.word, said.against) == (word, against)


def test_a_slope_is_per_step_and_a_size_left_out_is_still_a_step():
    whole = told((0.05, 0.09, 0.13))
    assert whole.slope == pytest.approx(0.04, abs=1e-9)
    first, last = evidence(0.05 + LUCK + WOBBLE), evidence(0.13 + LUCK - WOBBLE)
    said = tell("d_model", [("16", first), ("32", "rope did not learn")], "64", last)
    assert said.slope == pytest.approx(0.04, abs=1e-9)
    assert str(said) == "d_model 16 -> 64: 0.05 -> 0.13, grows; 32: rope did not learn"


def test_sizes_are_paired_over_the_seeds_that_all_of_them_have():
    small = evidence(0.09 + LUCK + WOBBLE, seeds=range(5))
    large = evidence(0.13 + LUCK[1:] - WOBBLE[1:], seeds=range(1, 5))
    said = tell("d_model", [("32", small)], "64", large)
    assert said.n == 4
    assert not str(said).endswith("seeds")
    assert str(tell("d_model", [("32", large)], "64", small)).endswith("; 4 of 5 seeds")
    assert said.slope == pytest.approx(0.04 - 2 * WOBBLE[1:].mean())
    # The seeds' luck, ten times the difference's own spread, drops out.
    assert said.high - said.low < 0.05 < large.high - large.low


def test_effects_have_digits_enough_to_tell_two_ratios_apart():
    ratios = [evidence(np.log(mean) + LUCK / 100 + sign * WOBBLE / 100, 0, 1, is_log=True) for mean, sign in
              ((0.9712, 1), (0.9688, -1))]  # fmt: skip
    assert "32 -> 64: 0.9712 -> 0.9688, grows" in str(tell("d_model", [("32", ratios[0])], "64", ratios[1]))
    assert "0.0912 -> 0.131, grows" in str(told((0.0912, 0.1312)))


def test_a_ratio_moves_by_factors():
    ratios = [evidence(np.log(mean) + LUCK + sign * WOBBLE, 0, 1, is_log=True) for mean, sign in ((0.8, 1), (0.4, -1))]
    said = tell("d_model", [("32", ratios[0])], "64", ratios[1])
    assert said.word == "grows"
    assert said.slope == pytest.approx(0.5)
    assert said.low < 0.5 < said.high < 1


@pytest.mark.parametrize(
    ("smaller", "reason"),
    [
        ([("32", "rope did not learn")], "no smaller size was measured"),
        ([("32", evidence(LUCK, seeds=range(4, 9)))], "1 of at least 2 seeds were run at all sizes"),
        ([("32", evidence(0.1 + LUCK))], "its slope is the same for every seed"),
    ],
)
def test_where_no_trend_can_be_told_it_says_why(smaller, reason):
    said = tell("d_model", smaller, "64", evidence(0.2 + LUCK))
    assert said.word == said.short == ""
    assert reason in said.reason
    assert "no trend" in str(said)


def test_what_stays_says_what_it_could_have_seen():
    said = told((0.09, 0.0901))
    assert "stays (a change of " in str(said)
    assert f"{said.smallest_slope:.2g} a step is the smallest that n=5 could have shown)" in str(said)
    assert said.short == "stays from d_model 16"
    assert told((-0.09, -0.13)).short == "grows (against the claim) from d_model 16"


def test_a_trend_survives_its_file():
    said = tell("d_model", [("32", evidence(0.09 + LUCK + WOBBLE)), ("48", "no")], "64", evidence(0.1 + LUCK))
    assert Trend.from_dict(json.loads(json.dumps(said.to_dict(), allow_nan=False))) == said


HOLDS = evidence(0.2 + LUCK)


@pytest.fixture(scope="module")
def studies():
    """800 studies of 3 sizes with 5 seeds, without any slope: that of one seed has the deviation sqrt(1/2)."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((800, 3, 5)) + 3 * rng.standard_normal((800, 1, 5))


def word_of(study, slope=0.0) -> Trend:
    found = [replace(HOLDS, values=tuple(values + place * slope)) for place, values in enumerate(study)]
    return tell("d_model", [("16", found[0]), ("32", found[1])], "64", found[2])


def test_chance_alone_moves_one_in_twenty(studies):
    moved = np.mean([word_of(study).word != "stays" for study in studies])
    assert 0.03 < moved < 0.075  # 5 % give or take three deviations of 800 draws


def test_the_smallest_slope_is_the_one_that_four_of_five_studies_show(studies):
    slope = smallest_effect(math.sqrt(1 / 2), 5)
    said = [word_of(study, slope) for study in studies]
    assert 0.755 < np.mean([s.word == "grows" for s in said]) < 0.845  # three deviations of 800 draws
    # Each study estimates the deviation anew; in the mean of squares the estimate is right.
    assert math.sqrt(np.mean([s.smallest_slope**2 for s in said])) == pytest.approx(slope, rel=0.1)
