"""Whether a verdict stands: the prediction's coverage by simulation, and each rule by numbers made for it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.judging.effects import Effect
from allyouneed.lab.judging.evidence import Evidence
from allyouneed.lab.judging.replication import compare, prediction_interval

SHAPE = np.array([-1.5, -0.5, 0.0, 0.5, 1.5])  # mean 0, deviation 1.118


def judged(values, *, unit="seeds", is_log=False, low=0.0, high=math.inf, level=0.95) -> Judgement:
    """The judgement of these numbers against a bar."""
    values = np.asarray(values, dtype=float)
    seeds = tuple(range(len(values)))
    evidence = Effect(values, unit, level, "", seeds, (), is_log=is_log).between(low, high)
    return Judgement("C1", "A statement.", "Table 1", evidence.word, evidence=evidence)


def unjudged(word: str, reason: str) -> Judgement:
    return Judgement("C1", "A statement.", "Table 1", word, reason)


@pytest.mark.parametrize(("n", "n_new"), [(5, 5), (3, 8), (2, 2)])
def test_a_prediction_misses_the_mean_of_honest_new_seeds_in_one_of_twenty_studies(n, n_new):
    draws = np.random.default_rng(0).normal(0.7, 2.0, (4000, n + n_new))
    low, high = prediction_interval(draws[:, :n], n_new)
    new = draws[:, n:].mean(axis=1)
    missed = ((new < low) | (new > high)).mean()
    # Exactly 5 % are expected; three standard errors of 4,000 draws are 1 %.
    assert abs(missed - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 4000)


def test_a_prediction_is_that_of_the_textbook():
    low, high = prediction_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 3)
    half = 2.776445 * math.sqrt(2.5) * math.sqrt(1 / 5 + 1 / 3)  # t of 4 degrees of freedom, from a table
    assert (low, high) == pytest.approx((3 - half, 3 + half), rel=1e-6)


def test_one_value_predicts_nothing():
    with pytest.raises(ValueError, match="at least 2 values"):
        prediction_interval(np.array([1.0]), 5)


def test_an_honest_effect_stands():
    found = compare(judged(SHAPE + 3), judged(SHAPE[::-1] + 2.6))
    assert found.outcome == "stands"
    assert found.predicted[0] < 2.6 < found.predicted[1]
    assert found.pooled.n == 10
    assert found.why == "the new mean lies inside the predicted interval; all 10 seeds together: still holds"


def test_a_word_that_all_seeds_together_do_not_say_falls():
    recorded = judged(SHAPE + 1.5)
    assert recorded.word == "holds"
    found = compare(recorded, judged(2 * SHAPE - 0.4))
    assert found.predicted[0] < -0.4
    assert found.outcome == "does not stand"
    assert found.why.endswith("inside the predicted interval; all 10 seeds together: recorded holds, now inconclusive")


def test_a_mean_outside_the_prediction_falls_though_the_word_is_the_same():
    found = compare(judged(SHAPE + 3), judged(SHAPE + 9))
    assert found.pooled.word == "holds"
    assert found.outcome == "does not stand"
    assert found.why == "the new mean lies outside the predicted interval; all 10 seeds together: still holds"


@pytest.mark.parametrize(
    ("new", "outcome", "why"),
    [
        (SHAPE[::-1] + 0.8, "stands", "still inconclusive"),
        (SHAPE[::-1] + 1.6, "does not stand", "now holds, more seeds decided it"),
    ],
)
def test_a_recorded_inconclusive_stands_until_more_seeds_decide(new, outcome, why):
    recorded = judged(SHAPE + 0.6)
    assert recorded.word == "inconclusive"
    found = compare(recorded, judged(new))
    assert (found.outcome, found.why.partition("together: ")[2]) == (outcome, why)


@pytest.mark.parametrize(
    ("mean", "before", "now", "pooled"),
    [(3, 0.95, 0.95, 0.95), (3, 0.975, 0.95, 0.975), (3, 0.95, 0.975, 0.975), (0.6, 0.95, 0.95, 0.975)],
)
def test_seeds_are_pooled_at_the_higher_level_and_what_was_open_at_that_of_a_second_look(mean, before, now, pooled):
    found = compare(judged(SHAPE + mean, level=before), judged(SHAPE[::-1] + 3, level=now))
    assert found.pooled.level == pooled


def test_a_ratio_is_compared_by_its_logarithms_though_old_records_do_not_say_that_it_is_one():
    recorded = judged(SHAPE / 10 + math.log(2), is_log=True, low=1.0)
    old = replace(recorded, evidence=replace(recorded.evidence, is_log=False))
    found = compare(old, judged(SHAPE / 10 + math.log(1.9), is_log=True, low=1.0))
    low, high = prediction_interval(SHAPE / 10 + math.log(2), 5)
    assert found.predicted == pytest.approx((math.exp(low), math.exp(high)))
    assert found.pooled.estimate == pytest.approx(math.sqrt(2 * 1.9))
    assert found.pooled.bar == "above 1"
    assert found.outcome == "stands"


def test_a_two_sided_bar_is_pooled_as_one():
    found = compare(judged(SHAPE / 10, low=-0.5, high=0.5), judged(SHAPE / 9 + 0.01, low=-0.5, high=0.5))
    assert found.pooled.bar == "within ±0.5"
    assert found.outcome == "stands"


@pytest.mark.parametrize(("new", "outcome"), [([1e-13] * 4, "stands"), ([1e-13, 1e-3], "does not stand")])
def test_new_exact_draws_must_say_the_same(new, outcome):
    found = compare(
        judged([1e-14] * 3, unit="exact", low=-1e-12, high=1e-12),
        judged(new, unit="exact", low=-1e-12, high=1e-12),
    )
    assert found.outcome == outcome
    assert (found.predicted, found.pooled) == (None, None)
    assert f"{len(new)} new draws" in found.why


@pytest.mark.parametrize(("unit", "n", "said"), [("rounds", 7, "not pooled"), ("items", 40, "not pooled")])
def test_rounds_and_items_are_never_pooled(unit, n, said):
    spread = np.linspace(-1, 1, n)
    slower = compare(judged(spread + 2, unit=unit), judged(spread + 90, unit=unit))
    assert (slower.outcome, slower.pooled, slower.predicted) == ("stands", None, None)
    assert said in slower.why
    changed = compare(judged(spread + 2, unit=unit), judged(spread, unit=unit))
    assert changed.outcome == "does not stand"
    assert changed.why.startswith("recorded holds, now inconclusive")


def test_items_crossed_with_seeds_are_predicted_from_the_means_of_the_seeds():
    rng = np.random.default_rng(0)
    items = rng.normal(0, 0.1, (5, 40))
    recorded = judged(items + 2 + SHAPE[:, None] / 10, unit="items x seeds")
    low, high = prediction_interval(np.array(recorded.evidence.values), 5)
    near = compare(recorded, judged(items[::-1] + 2.05 + SHAPE[:, None] / 10, unit="items x seeds"))
    far = compare(recorded, judged(items + 3 + SHAPE[:, None] / 10, unit="items x seeds"))
    assert near.predicted == far.predicted == pytest.approx((low, high))
    assert (near.outcome, far.outcome) == ("stands", "does not stand")
    assert near.pooled is None


@pytest.mark.parametrize(
    ("recorded", "new", "outcome", "why"),
    [
        (unjudged("not run", "no corpus"), unjudged("not run", "no corpus"), "not comparable", "the record did not"),
        (judged(SHAPE + 3), unjudged("not run", "rope, seed 7 failed"), "not comparable", "now not run: rope, seed 7"),
        (judged(SHAPE + 3), unjudged("inconclusive", "a did not learn"), "not comparable", "now inconclusive: a did"),
        (unjudged("inconclusive", "a did not learn"), judged(SHAPE + 3), "not comparable", "recorded was inconclusive"),
        (unjudged("inconclusive", "a did not learn"), unjudged("inconclusive", "a did not learn"), "stands", "again a"),
        (unjudged("inconclusive", "a did not learn"), unjudged("not run", "failed"), "not comparable", "recorded was"),
    ],
)
def test_what_has_no_numbers_is_said_plainly(recorded, new, outcome, why):
    found = compare(recorded, new)
    assert found.outcome == outcome
    assert found.why.startswith(why)


def test_another_unit_cannot_be_compared():
    items = judged(np.linspace(1, 2, 40), unit="items")
    assert compare(judged(SHAPE + 3), items).why == "recorded over seeds, now over items"


def test_seeds_that_are_all_alike_cannot_be_pooled():
    same = np.array([1.0, 1.0, 1.0])
    alike = replace(judged(SHAPE + 1).evidence, values=tuple(same), n=3)
    recorded = Judgement("C1", "A statement.", "Table 1", "holds", evidence=alike)
    assert compare(recorded, replace(recorded, evidence=replace(alike, seeds=(3, 4, 5)))).outcome == "not comparable"


def test_only_what_the_record_judged_can_stand_or_fall():
    assert compare(judged(SHAPE + 3), judged(SHAPE + 3)).was_judged
    assert not compare(unjudged("not run", "-"), unjudged("not run", "-")).was_judged


def test_a_comparison_is_kept_with_every_new_number():
    found = compare(judged(SHAPE + 3), judged(SHAPE[::-1] + 3))
    kept = found.to_dict()
    assert Evidence.from_dict(kept["new"]["evidence"]) == found.new.evidence
    assert kept["recorded"]["estimate"] == 3.0
    assert kept["predicted"] == list(found.predicted)
