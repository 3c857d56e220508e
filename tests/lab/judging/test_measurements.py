"""What claims read: pairing, units, bars, notes and errors, on small invented results."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from allyouneed.lab.judging.evidence import ClaimError, Evidence, TrialFailed
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.judging.statistics import (
    binomial_noise,
    bootstrap_interval,
    crossed_interval,
    smallest_effect,
    t_interval,
)
from allyouneed.lab.outcome import Failure
from allyouneed.lab.trials.result import TrialResult


def result(arm, seed, log=(), factors=None, trial="train", **measurements):
    plain = {name: np.asarray(value, dtype=float).tolist() for name, value in measurements.items()}
    return TrialResult(trial, arm, seed, plain, list(log), {}, 1.0, factors or {})


def over_seeds(name="loss", trial="train", **arms):
    """Measurements of arms given as one number (or vector) a seed."""
    return Measurements(
        [result(arm, seed, trial=trial, **{name: v}) for arm, values in arms.items() for seed, v in enumerate(values)]
    )


PAIRED = {"old": [1.0, 1.4, 1.2, 1.1, 1.3], "new": [0.8, 1.25, 0.95, 0.95, 1.15]}
DIFFERENCES = np.array([0.2, 0.15, 0.25, 0.15, 0.15])


def noisy(mean, shape, seed=0, sd=1.0):
    return mean + sd * np.random.default_rng(seed).normal(size=shape)


class TestReading:
    def test_arms_come_in_the_order_declared_also_those_without_a_result(self):
        m = Measurements([result("b", 0, loss=1), result("a", 0, loss=1)], arms=["a", "b", "c"])
        assert m.arms == ["a", "b", "c"]
        assert m.seeds == [0]

    def test_values_come_by_seed(self):
        m = Measurements([result("a", seed, loss=seed / 10) for seed in (2, 0, 1)])
        assert m.values("loss", "a").tolist() == [0.0, 0.1, 0.2]

    def test_vectors_come_as_seeds_by_items(self):
        assert over_seeds(a=[[1, 2, 3], [4, 5, 6]]).values("loss", "a").shape == (2, 3)

    def test_a_text_is_that_of_the_first_run_of_its_arm(self):
        runs = [replace(result("a", seed, loss=1), shown={"sample": f"of {seed}"}) for seed in (3, 1)]
        assert Measurements(runs).shown("sample", "a") == "of 1"
        with pytest.raises(ClaimError, match="nearest: sample"):
            Measurements(runs).shown("samples", "a")
        with pytest.raises(ClaimError, match="no text 'sample'"):
            Measurements([], arms=["a"]).shown("sample", "a")

    def test_another_trial_function_is_read_through_of(self):
        m = Measurements([result("a", 0, loss=1), result("a", 0, trial="ablation", loss=2)])
        assert m.values("loss", "a").tolist() == [1.0]
        assert m.of("ablation").values("loss", "a").tolist() == [2.0]
        with pytest.raises(ClaimError, match="nearest: ablation"):
            m.of("ablatoin")

    def test_the_same_run_twice_is_an_error(self):
        with pytest.raises(ValueError, match="two results of a, seed 0"):
            Measurements([result("a", 0, loss=1), result("a", 0, loss=2)])

    def test_a_curve_aligns_the_steps_that_all_seeds_share(self):
        logs = [[(1, 3.0), (2, 2.0), (3, 1.0)], [(2, 2.5), (3, 1.5)]]
        rows = [[{"step": step, "loss": loss} for step, loss in log] + [{"step": 9, "lr": 0.1}] for log in logs]
        m = Measurements([result("a", seed, log=log, loss=0) for seed, log in enumerate(rows)])
        steps, losses = m.curve("loss", "a")
        assert steps.tolist() == [2, 3]
        assert losses.tolist() == [[2.0, 1.0], [2.5, 1.5]]

    def test_a_curve_picks_rows_by_their_texts(self):
        log = [{"step": 1, "loss": 3.0, "phase": "pretrain"}, {"step": 1, "loss": 2.0, "phase": "finetune"}]
        m = Measurements([result("a", 0, log=log, loss=0)])
        assert m.curve("loss", "a", phase="finetune")[1].tolist() == [[2.0]]

    def test_an_arm_without_a_run_is_drawn_as_nothing(self):
        m = Measurements([result("a", 0, log=[{"step": 1, "loss": 3.0}], loss=0)], arms=["a", "b"])
        steps, losses = m.curve("loss", "b")
        assert (steps.shape, losses.shape) == ((0,), (0, 0))
        assert m.values("loss", "b").shape == (0,)

    def test_a_curve_that_was_not_logged_names_what_was(self):
        m = Measurements([result("a", 0, log=[{"step": 1, "loss": 3.0}], loss=0)])
        with pytest.raises(ClaimError, match="nearest: loss"):
            m.curve("los", "a")


class TestGrid:
    M = Measurements(
        [
            result(f"norm={norm}, lr={lr}", seed, factors={"norm": norm, "lr": lr}, loss=loss + seed / 100)
            for seed in (0, 1)
            for (norm, lr), loss in {("pre", "1"): 1, ("pre", "2"): 2, ("post", "1"): 3, ("post", "2"): 4}.items()
        ]
    )

    def test_the_factor_that_is_left_names_the_arms(self):
        m = self.M.where(lr=2)
        assert m.arms == ["pre", "post"]
        assert m.values("loss", "post").tolist() == [4.0, 4.01]

    def test_factors_may_be_fixed_one_after_the_other(self):
        m = self.M.where(lr=2).where(norm="pre")
        assert m.arms == ["norm=pre, lr=2"]

    def test_a_record_is_told_the_arms_own_name(self):
        evidence = self.M.where(lr="1").effect(lambda u: u["pre"]["loss"]).above(0)
        assert evidence.uses == (("norm=pre, lr=1", "loss"),)

    def test_a_failure_is_found_under_the_shown_name(self):
        failure = Failure("train", "norm=pre, lr=1", 2, "ran out of memory")
        with pytest.raises(TrialFailed, match="pre, seed 2 failed: ran out of memory"):
            self.M.judged(0.95, [failure]).where(lr="1").less("loss", "pre", than="post")

    def test_an_arm_that_failed_with_every_seed_is_named(self):
        m = self.M.judged(0.95, [Failure("train", "norm=deep, lr=1", 0, "not finite")]).where(lr="1")
        with pytest.raises(ClaimError, match="failed: norm=deep, lr=1"):
            m.less("loss", "deep", than="post")

    def test_unknown_factors_and_values_name_their_neighbours(self):
        with pytest.raises(ClaimError, match="nearest: norm"):
            self.M.where(nrom="pre")
        with pytest.raises(ClaimError, match="nearest: pre"):
            self.M.where(norm="prex")


# By seed, what is chosen by and what is judged: pre is best at lr 2 with seed 0, at lr 1 with seed 1; post at 1.
TRIED = {
    ("pre", "1"): ([3, 1], [3.3, 1.1]),
    ("pre", "2"): ([2, 2], [2.2, 0.9]),
    ("post", "1"): ([4, 4], [4.4, 4.5]),
    ("post", "2"): ([5, math.nan], [1, 1]),
}
TRIED_RESULTS = [
    result(f"norm={norm}, lr={lr}", seed, factors={"norm": norm, "lr": lr}, tune=tune[seed], loss=loss[seed])
    for seed in (0, 1)
    for (norm, lr), (tune, loss) in TRIED.items()
]


class TestBestOfAGrid:
    M = Measurements(TRIED_RESULTS, arms=["norm=post, lr=1", "norm=post, lr=2", "norm=pre, lr=1", "norm=pre, lr=2"])

    def test_each_seed_has_the_run_with_the_least_of_what_is_chosen_by(self):
        best = self.M.best("lr", on="tune")
        assert best.arms == ["post", "pre"]
        assert best.values("loss", "pre").tolist() == [2.2, 1.1]
        assert best.values("loss", "post").tolist() == [4.4, 4.5]

    def test_a_record_is_told_what_the_choice_has_read(self):
        evidence = self.M.best("lr", on="tune").less("loss", "pre", than="post")
        assert evidence.values == pytest.approx([2.2, 3.4])
        tuned = {(f"norm={norm}, lr={lr}", "tune") for norm, lr in TRIED}
        chosen = {("norm=pre, lr=1", "loss"), ("norm=pre, lr=2", "loss"), ("norm=post, lr=1", "loss")}
        assert set(evidence.uses) == tuned | chosen

    def test_a_seed_that_not_every_value_was_run_with_is_left_out(self):
        few = Measurements(r for r in TRIED_RESULTS if (r.arm, r.seed) != ("norm=pre, lr=1", 1))
        best = few.best("lr", on="tune")
        assert best.values("loss", "pre").tolist() == [2.2]
        effect = best.effect(lambda u: u["post"]["loss"] - u["pre"]["loss"])
        assert effect.notes[0] == "seed 1 left out: pre was not run with it"

    @pytest.mark.parametrize(
        ("lrs", "best", "note"),
        [
            (("1", "3", "10"), ("10", "10", "3"), "lr of pre: the edge of its grid (10) was best with 2 of 3 seeds"),
            (
                ("10", "1", "3"),
                ("1", "10", "3"),
                "lr of pre: the edge of its grid (1 and 10) was best with 2 of 3 seeds",
            ),
            (("1", "3", "10"), ("3", "3", "3"), None),
            (("a", "b", "c"), ("a", "a", "a"), None),
            (("1",), ("1", "1", "1"), None),
        ],
    )
    def test_a_best_value_on_the_edge_of_its_grid_is_said(self, lrs, best, note):
        m = Measurements(
            result(f"{norm} {lr}", seed, factors={"norm": norm, "lr": lr}, loss=seed, tune=float(lr != best[seed]))
            for norm in ("pre", "post")
            for lr in lrs
            for seed in range(3)
        )
        effect = m.best("lr", on="tune").effect(lambda u: u["pre"]["loss"])
        assert effect.notes == ((note,) if note else ())

    def test_it_goes_with_factors_that_are_fixed(self):
        assert self.M.where(norm="pre").best("lr", on="tune").arms == ["norm=pre"]
        assert self.M.best("lr", on="tune").where(norm="pre").values("loss", "norm=pre").tolist() == [2.2, 1.1]

    def test_a_value_that_failed_fails_the_choice(self):
        for arm in ("norm=pre, lr=1", "norm=pre, lr=9"):  # lr 9 has no run at all
            m = self.M.judged(0.95, [Failure("train", arm, 2, "ran out of memory")]).best("lr", on="tune")
            with pytest.raises(TrialFailed, match="seed 2 failed: ran out of memory"):
                m.less("loss", "pre", than="post")

    def test_a_failure_of_another_group_is_none_of_its_business(self):
        m = self.M.judged(0.95, [Failure("train", "norm=pre, lr=1", 2, "ran out of memory")]).best("lr", on="tune")
        assert m.effect(lambda u: u["post"]["loss"]).above(0).n == 2

    def test_a_factor_has_its_values_in_the_order_declared(self):
        assert self.M.factor("norm") == ["post", "pre"]
        with pytest.raises(ClaimError, match="nearest: lr"):
            self.M.best("lrr", on="tune")


class TestSeeds:
    def test_less_is_the_t_interval_of_the_paired_differences(self):
        evidence = over_seeds(**PAIRED).less("loss", "new", than="old")
        interval = t_interval(DIFFERENCES)
        assert (evidence.low, evidence.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
        assert evidence.values == pytest.approx(DIFFERENCES)
        assert (evidence.word, evidence.n, evidence.unit, evidence.bar) == ("holds", 5, "seeds", "above 0")
        assert evidence.seeds == (0, 1, 2, 3, 4)
        assert set(evidence.uses) == {("new", "loss"), ("old", "loss")}

    def test_pairing_sees_what_the_spread_between_seeds_would_hide(self):
        a = noisy(0, 5, sd=10)
        evidence = over_seeds(a=a, b=a + 1 + noisy(0, 5, seed=1, sd=0.1)).more("loss", "b", than="a")
        assert evidence.word == "holds"

    @pytest.mark.parametrize(
        ("claimed", "word"),
        [
            (lambda m: m.less("loss", "new", than="old"), "holds"),
            (lambda m: m.less("loss", "old", than="new"), "contradicted"),
            (lambda m: m.more("loss", "old", than="new"), "holds"),
            (lambda m: m.more("loss", "new", than="old"), "contradicted"),
            (lambda m: m.less("loss", "new", than="old", by=0.18), "inconclusive"),
            (lambda m: m.less("loss", "new", than="old", by=0.5), "contradicted"),
            (lambda m: m.no_worse("loss", "old", than="new", margin=0.3), "holds"),
            (lambda m: m.no_worse("loss", "old", than="new", margin=0.05), "contradicted"),
            (lambda m: m.no_worse("loss", "new", than="old", margin=0.01), "holds"),
            (lambda m: m.same("loss", "new", "old", margin=0.3), "holds"),
            (lambda m: m.same("loss", "new", "old", margin=0.2), "inconclusive"),
            (lambda m: m.same("loss", "new", "old", margin=0.05), "contradicted"),
            (lambda m: m.same("loss", "old", "new", margin=0.05), "contradicted"),
        ],
    )
    def test_the_word_is_where_the_interval_lies(self, claimed, word):
        assert claimed(over_seeds(**PAIRED)).word == word

    def test_the_smallest_effect_is_said(self):
        evidence = over_seeds(**PAIRED).less("loss", "new", than="old")
        smallest = smallest_effect(DIFFERENCES.std(ddof=1), 5)
        assert evidence.smallest_effect == pytest.approx(smallest)
        assert f"smallest effect this n could have shown: {smallest:.2g} (80 % power)" in evidence.notes

    def test_a_two_sided_bar_says_the_narrowest_margin(self):
        evidence = over_seeds(**PAIRED).same("loss", "new", "old", margin=0.3)
        assert evidence.bar == "within ±0.3"
        assert any(note.startswith("narrowest margin this n could have shown") for note in evidence.notes)

    def test_three_pairs_are_warned_of(self):
        m = over_seeds(**{arm: values[:3] for arm, values in PAIRED.items()})
        notes = m.less("loss", "new", than="old").notes
        assert "3 pairs can only see effects beyond 2.5 standard deviations" in notes

    def test_only_seeds_that_every_arm_has_count_and_the_others_are_named(self):
        runs = [result("a", seed, loss=seed**2) for seed in range(4)]
        runs += [result("b", seed, loss=seed) for seed in (0, 2, 3)]
        evidence = Measurements(runs).more("loss", "a", than="b")
        assert evidence.seeds == (0, 2, 3)
        assert "seed 1 left out: b was not run with it" in evidence.notes

    def test_an_arm_that_no_claim_reads_may_lack_seeds(self):
        runs = [result(arm, seed, loss=seed**2) for arm in "ab" for seed in range(4)] + [result("c", 0, loss=1)]
        assert Measurements(runs).effect(lambda u: u["a"]["loss"]).above(0).n == 4

    def test_a_failed_trial_fails_the_claims_that_read_it_and_no_other(self):
        failed = [Failure("train", "new", 4, "loss is not finite")]
        m = over_seeds(**PAIRED, third=noisy(0, 5)).judged(0.95, failed)
        with pytest.raises(TrialFailed, match="new, seed 4 failed: loss is not finite"):
            m.less("loss", "new", than="old")
        assert m.less("loss", "third", than="old").n == 5

    def test_a_failure_counts_also_where_the_other_arm_was_never_run(self):
        m = over_seeds(**PAIRED).judged(0.95, [Failure("train", "new", 9, "out of memory")])
        with pytest.raises(TrialFailed, match="new, seed 9"):
            m.less("loss", "new", than="old")

    def test_an_arm_whose_trials_all_failed_is_named(self):
        m = Measurements([], trial="train", arms=["a"], failures=[Failure("train", "a", 0, "hangs")])
        with pytest.raises(TrialFailed, match="a, seed 0 failed: hangs"):
            m.effect(lambda u: u["a"]["loss"])

    def test_a_claim_may_read_vectors_whole(self):
        m = over_seeds(a=[[1.0, 5.0], [2.0, 7.0], [3.0, 9.5]])
        assert m.effect(lambda u: u["a"]["loss"].max()).above(0).values == (5.0, 7.0, 9.5)

    def test_without_an_effect_a_claim_holds_in_one_of_forty(self):
        draws = 600
        values = noisy(0, (draws, 2, 5))
        held = np.mean([over_seeds(a=a, b=b).less("loss", "a", than="b").word == "holds" for a, b in values])
        assert held <= 0.025 + 3 * binomial_noise(0.025, draws)


class TestItems:
    def test_items_are_compared_one_by_one_with_a_bootstrap(self):
        a, b = noisy(0, 40), noisy(1, 40, seed=1)
        evidence = over_seeds(a=[a], b=[b]).less("loss", "a", than="b", unit="items")
        interval = bootstrap_interval(b - a)
        assert (evidence.low, evidence.high, evidence.n) == (
            pytest.approx(interval.low),
            pytest.approx(interval.high),
            40,
        )
        assert evidence.word == "holds"
        assert any("not of other trainings" in note for note in evidence.notes)

    def test_a_number_counts_for_every_item(self):
        m = Measurements([result("a", 0, right=np.arange(30) % 2, price=0.1)])
        evidence = m.effect(lambda u: u["a"]["right"] / u["a"]["price"], unit="items").above(0)
        assert evidence.estimate == pytest.approx(5)

    def test_items_of_several_seeds_need_the_crossed_unit(self):
        m = over_seeds(a=noisy(0, (3, 40)), b=noisy(1, (3, 40), seed=1))
        with pytest.raises(ClaimError, match="items x seeds"):
            m.less("loss", "a", than="b", unit="items")
        evidence = m.less("loss", "a", than="b", unit="items x seeds")
        differences = m.values("loss", "b") - m.values("loss", "a")
        assert evidence.low == pytest.approx(crossed_interval(differences).low)
        assert (evidence.n, evidence.values) == (3, pytest.approx(differences.mean(axis=1)))
        assert "3 seeds x 40 items, both drawn at random" in evidence.notes

    def test_fewer_than_thirty_items_are_refused(self):
        with pytest.raises(ClaimError, match="29 of at least 30 items"):
            over_seeds(a=[noisy(0, 29)]).effect(lambda u: u["a"]["loss"], unit="items").above(0)
        with pytest.raises(ClaimError, match="29 of at least 30 items"):
            over_seeds(a=noisy(0, (3, 29))).effect(lambda u: u["a"]["loss"], unit="items x seeds").above(0)

    @pytest.mark.parametrize("lengths", [(40, 41), (41, 40)])
    def test_vectors_of_different_lengths_are_refused(self, lengths):
        m = over_seeds(a=[noisy(0, lengths[0])], b=[noisy(0, lengths[1])])
        with pytest.raises(ClaimError, match=f"{lengths[0]} for 'loss' of a"):
            m.less("loss", "a", than="b", unit="items")

    def test_seeds_of_different_lengths_are_refused(self):
        with pytest.raises(ClaimError, match="different lengths"):
            over_seeds(a=[noisy(0, 40), noisy(0, 41)]).effect(lambda u: u["a"]["loss"], unit="items x seeds")

    def test_a_number_alone_is_no_item(self):
        with pytest.raises(ClaimError, match="vectors"):
            over_seeds(a=[1.0]).effect(lambda u: u["a"]["loss"], unit="items")

    def test_seeds_that_change_nothing_are_not_crossed(self):
        with pytest.raises(ClaimError, match="use one seed"):
            over_seeds(a=[noisy(0, 40)] * 3).effect(lambda u: u["a"]["loss"], unit="items x seeds").above(0)

    def test_an_accuracy_carries_its_binomial_noise(self):
        m = over_seeds("accuracy", a=[0.5, 0.52, 0.54], b=[0.7, 0.75, 0.8])
        evidence = m.more("accuracy", "b", than="a", items=200)
        assert "binomial noise of one accuracy of 0.63 over 200 items: 0.034 (standard error)" in evidence.notes


class TestRounds:
    def test_a_ratio_is_printed_as_a_ratio(self):
        slow = np.array([2.0, 2.1, 1.9, 2.2, 2.0, 2.05, 1.95])
        m = over_seeds("seconds", peer=[slow], ours=[slow * np.exp(noisy(-0.5, 7, sd=0.01))])
        evidence = m.ratio("seconds", "ours", to="peer", below=0.9, unit="rounds")
        assert evidence.estimate == pytest.approx(math.exp(-0.5), rel=0.02)
        assert evidence.low < evidence.estimate < evidence.high < 0.9
        assert (evidence.word, evidence.bar, evidence.n) == ("holds", "below 0.9", 7)
        assert 1 < evidence.smallest_effect < 1.1

    def test_a_ratio_has_the_interval_of_its_logarithm(self):
        m = over_seeds("seconds", a=[1.0, 2.0, 4.0], b=[1.0, 1.0, 1.0])
        interval = t_interval(np.log([1.0, 2.0, 4.0]))
        evidence = m.ratio("seconds", "a", to="b", above=1, below=3)
        assert (evidence.low, evidence.high) == (
            pytest.approx(math.exp(interval.low)),
            pytest.approx(math.exp(interval.high)),
        )
        assert evidence.bar == "between 1 and 3"

    def test_fewer_than_seven_rounds_are_refused(self):
        with pytest.raises(ClaimError, match="6 of at least 7 rounds"):
            over_seeds(a=[noisy(5, 6)], b=[noisy(5, 6, 1)]).ratio("loss", "a", to="b", below=1, unit="rounds")

    def test_what_is_not_positive_has_no_ratio(self):
        with pytest.raises(ClaimError, match="no ratio"):
            over_seeds(a=[0.0, 1.0], b=[1.0, 1.0]).ratio("loss", "a", to="b", below=1)

    def test_a_ratio_without_a_bar_claims_nothing(self):
        with pytest.raises(ClaimError, match="no claim"):
            over_seeds(a=[1.0, 2.0], b=[1.0, 1.0]).ratio("loss", "a", to="b")


class TestSlope:
    def test_a_power_law_has_its_exponent_as_slope(self):
        sizes = {"small": 10.0, "middle": 100.0, "large": 1000.0}
        losses = {arm: n**-0.3 * np.exp(noisy(0, 4, seed, 0.01)) for seed, (arm, n) in enumerate(sizes.items())}
        logs = {arm: math.log(n) for arm, n in sizes.items()}
        evidence = over_seeds(**losses).slope("loss", logs, y=math.log, above=-0.35, below=-0.25)
        assert evidence.estimate == pytest.approx(-0.3, abs=0.01)
        expected = [np.polyfit(list(logs.values()), np.log([losses[arm][s] for arm in sizes]), 1)[0] for s in range(4)]
        assert evidence.values == pytest.approx(expected)
        assert evidence.word == "holds"

    def test_one_place_has_no_slope(self):
        with pytest.raises(ClaimError, match="2 or more places"):
            over_seeds(a=[1.0, 2.0]).slope("loss", {"a": 1.0}, below=0)


class TestExact:
    def test_every_draw_must_meet_the_tolerance(self):
        m = over_seeds("error", a=[[1e-9, -2e-9], [0.0, 1e-10]], b=[[0.0, 0.0], [1e-9, 3e-9]])
        evidence = m.exact("error", 1e-8)
        assert (evidence.word, evidence.unit, evidence.n) == ("holds", "exact", 8)
        assert evidence.estimate == 3e-9
        assert (evidence.low, evidence.high, evidence.smallest_effect) == (None, None, None)
        assert str(evidence) == "3e-09 (exact)"
        assert any(note.startswith("exact: checked on 8 draws") for note in evidence.notes)

    @pytest.mark.parametrize("bad", [2e-8, -2e-8, math.nan, math.inf])
    def test_one_bad_draw_contradicts(self, bad):
        evidence = over_seeds("error", a=[[0.0, 1e-9, bad, 1e-9]]).exact("error", 1e-8)
        assert evidence.word == "contradicted"
        assert evidence.estimate == pytest.approx(bad, nan_ok=True)

    def test_exact_draws_may_be_identical_and_meet_a_one_sided_bar_at_its_end(self):
        evidence = over_seeds(a=[1.0, 1.0]).effect(lambda u: u["a"]["loss"], unit="exact").above(1.0)
        assert (evidence.word, evidence.estimate) == ("holds", 1.0)


class TestErrors:
    def test_unknown_names_bring_the_nearest(self):
        m = over_seeds(rope=[1.0, 2.0], alibi=[1.0, 2.5])
        with pytest.raises(ClaimError, match="no arm 'ropee'; nearest: rope"):
            m.less("loss", "ropee", than="alibi")
        with pytest.raises(ClaimError, match="rope, seed 0 has no measurement 'los'; nearest: loss"):
            m.effect(lambda u: u["rope"]["los"])
        with pytest.raises(ClaimError, match="no unit 'seed'; nearest: seeds"):
            m.effect(lambda u: u["rope"]["loss"], unit="seed")

    def test_one_seed_is_too_few(self):
        with pytest.raises(ClaimError, match="1 of at least 2 seeds"):
            over_seeds(a=[1.0], b=[2.0]).less("loss", "a", than="b")

    def test_identical_differences_are_refused(self):
        with pytest.raises(ClaimError, match=r"5 seeds all give 0\.5"):
            over_seeds(a=[0.1, 0.2, 0.3, 0.4, 0.5], b=[0.6, 0.7, 0.8, 0.9, 1.0]).less("loss", "a", than="b")

    def test_a_diverged_run_cannot_be_averaged(self):
        with pytest.raises(ClaimError, match="seed 1 gives nan"):
            over_seeds(a=[1.0, math.nan], b=[1.0, 2.0]).less("loss", "a", than="b")

    def test_a_vector_is_no_number(self):
        with pytest.raises(ClaimError, match="unit 'items'"):
            over_seeds(a=[[1.0, 2.0]] * 2).effect(lambda u: u["a"]["loss"])


class TestGates:
    M = over_seeds(good=[1.0, 1.1], bad=[1.0, 2.5], lost=[math.nan, 1.0])

    def test_every_run_of_every_arm_must_pass(self):
        gate = self.M.below("loss", 2.0)
        assert gate.failed_arms == ["bad", "lost"]
        assert not gate.passed
        assert (gate.bar, gate.values["bad"]) == ("loss below 2", [1.0, 2.5])

    def test_above_is_the_other_side(self):
        assert self.M.above("loss", 1.05).failed_arms == ["good", "bad", "lost"]
        assert self.M.above("loss", 0.5, arms=["good", "bad"]).passed

    def test_a_vector_passes_by_its_mean(self):
        assert over_seeds(a=[[0.0, 3.0]]).below("loss", 2.0).passed

    def test_a_bar_that_is_only_met_is_not_beaten(self):
        assert over_seeds(a=[2.0]).below("loss", 2.0).failed_arms == ["a"]

    def test_an_arm_without_a_run_has_nothing_to_fail(self):
        assert Measurements([result("a", 0, loss=1)], arms=["a", "b"]).below("loss", 2.0).passed


@pytest.mark.parametrize(
    ("kind", "args", "how"),
    [
        ("curves", "loss", {"y": "nats"}),
        ("lines", ["loss", "later"], {"x": "length", "y": "nats", "mark": 1}),
        ("bars", "loss", {"y": "nats"}),
    ],
)
def test_figures_are_drawn_of_what_there_is(kind, args, how):
    log = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}]
    runs = [result(arm, seed, log=log, loss=seed, later=seed + 1) for arm in "ab" for seed in range(2)]
    figure = getattr(Measurements(runs, arms=["a", "b"]), kind)(args, **how)
    assert "nats" in {axes.get_title("left") or axes.get_ylabel() for axes in figure.axes}


def test_evidence_survives_json():
    evidence = over_seeds(**PAIRED).less("loss", "new", than="old")
    assert Evidence.from_dict(json.loads(json.dumps(evidence.to_dict(), allow_nan=False))) == evidence


def test_evidence_prints_its_interval():
    evidence = over_seeds(**PAIRED).less("loss", "new", than="old")
    assert str(evidence) == "0.18 [0.124, 0.236]"
