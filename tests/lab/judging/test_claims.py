"""The verdict on a claim, and the order in which its conditions count."""

import json
import subprocess
import sys

import pytest

from allyouneed.lab.judging.claims import Judgement, how_many_tested, judge, luck_note
from allyouneed.lab.judging.evidence import GateResult
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.outcome import Failure
from allyouneed.lab.study import Claim, Gate
from allyouneed.lab.trials.result import TrialResult

LOSSES = {"sinusoidal": [1.0, 1.4, 1.2, 1.1, 1.3], "rope": [0.8, 1.25, 0.95, 0.95, 1.15]}
M = Measurements(
    TrialResult("train", arm, seed, {"loss": loss}, [], {}, 1.0, {})
    for arm, losses in LOSSES.items()
    for seed, loss in enumerate(losses)
)


def rope_is_better(m):
    return m.less("loss", "rope", than="sinusoidal")


CLAIM = Claim("C1", "RoPE has the lower loss.", "27.5 against 27.3 BLEU", ("train",), rope_is_better, "loss, not BLEU")
GATE = Gate("learned", lambda m: m.below("loss", 1.35), "a trigram model", "train")


def with_function(function):
    return Claim("C2", "Something else.", "Table 2", ("train",), function)


def test_a_claim_holds_with_its_evidence_beside_it():
    judgement = judge(CLAIM, M)
    assert (judgement.verdict, judgement.word) == ("holds", "holds")
    assert (judgement.id, judgement.statement, judgement.paper) == ("C1", CLAIM.statement, CLAIM.paper)
    assert judgement.weaker_form == "loss, not BLEU"
    assert judgement.evidence == rope_is_better(M)


def test_a_claim_is_contradicted_by_an_interval_on_the_other_side():
    assert judge(with_function(lambda m: m.less("loss", "sinusoidal", than="rope")), M).verdict == "contradicted"


def test_a_failed_gate_leaves_claims_that_read_its_arm_inconclusive_and_without_evidence():
    result = GATE.function(M)
    judgement = judge(CLAIM, M, [(GATE, GateResult("loss below 9", [], {})), (GATE, result)])
    assert judgement.verdict == "inconclusive: sinusoidal did not learn"
    assert judgement.evidence is None


GRID = Measurements(
    [
        TrialResult(trial, f"norm={norm}, lr={lr}", seed, {"loss": loss + seed / 10 + lr / 100}, [], {}, 1.0,
                    {"norm": norm, "lr": str(lr)})
        for trial in ("train", "other")
        for norm, loss in (("pre", 1.0), ("post", 5.0))
        for lr in (1, 2)
        for seed in range(3)
    ]
)  # fmt: skip


def pre_of(m):
    return m.effect(lambda u: u["pre"]["loss"]).above(0)


def raw(norm):
    return lambda m: m.effect(lambda u: u[f"norm={norm}, lr=1"]["loss"]).above(0)


@pytest.mark.parametrize(
    ("reads", "word"),
    [
        (raw("pre"), "holds"),
        (raw("post"), "inconclusive"),
        (lambda m: pre_of(m.best("lr", on="loss")), "holds"),
        (lambda m: m.best("lr", on="loss").less("loss", "pre", than="post"), "inconclusive"),
        (lambda m: pre_of(m.where(lr=2)), "holds"),
        (lambda m: m.where(lr=2).less("loss", "pre", than="post"), "inconclusive"),
        (lambda m: raw("post")(m.of("other")), "holds"),
        (lambda m: (m.values("loss", "norm=post, lr=1"), raw("pre")(m.of("other")))[1], "inconclusive"),
        (lambda m: (max(r.seed for r in m.results), raw("pre")(m))[1], "inconclusive"),
    ],
)
@pytest.mark.parametrize("view", [lambda m: m, lambda m: m.best("lr", on="loss")], ids=["arms", "choice"])
def test_a_failed_gate_stops_only_claims_that_read_its_arm_by_whatever_name(view, reads, word):
    gate = view(GRID).below("loss", 3.0)
    assert gate.failed_arms
    assert judge(with_function(reads), GRID, [(GATE, gate)]).word == word


def test_a_gate_over_another_trial_stops_claims_that_read_that_one():
    gate = GRID.of("other").where(lr=1).below("loss", 3.0)
    assert judge(with_function(raw("post")), GRID, [(GATE, gate)]).word == "holds"
    reads_both = with_function(lambda m: (m.of("other").values("loss", "norm=post, lr=1"), raw("pre")(m))[1])
    assert judge(reads_both, GRID, [(GATE, gate)]).verdict == "inconclusive: post did not learn"


def test_a_claim_that_cannot_be_evaluated_is_stopped_by_any_gate():
    gate = [(GATE, GRID.below("loss", 3.0))]
    for function in (lambda m: 1 / 0, lambda m: m.less("loss", "a", than="b"), lambda m: None):
        assert judge(with_function(function), GRID, gate).word == "inconclusive"


def test_arms_that_fail_two_gates_are_named_once():
    results = [(GATE, GateResult("", ["a", "b"], {})), (GATE, GateResult("", ["b"], {}))]
    assert judge(CLAIM, M, results).verdict == "inconclusive: a, b did not learn"


def test_gates_that_pass_change_nothing():
    assert judge(CLAIM, M, [(GATE, M.below("loss", 2.0))]).verdict == "holds"


def test_a_claim_that_reads_a_failed_trial_is_not_run():
    failure = Failure("train", "rope", 5, "killed after 600 s of silence")
    assert judge(CLAIM, M, failures=[failure]).verdict == "not run: rope, seed 5 failed: killed after 600 s of silence"


@pytest.mark.parametrize("failure", [("train", "another arm"), ("another trial", "rope")])
def test_a_failure_elsewhere_changes_nothing(failure):
    assert judge(CLAIM, M, failures=[Failure(*failure, 0, "crashed")]).verdict == "holds"


def test_a_claim_that_the_study_does_not_run_says_why():
    claim = Claim("C3", "Scales to 70B.", "Figure 4", not_run="needs 512 GPUs")
    assert judge(claim, None).verdict == "not run: needs 512 GPUs"


def test_measurements_that_cannot_carry_a_claim_are_a_reason_not_a_crash():
    one_seed = Measurements([result for result in M.results if result.seed == 0])
    assert judge(CLAIM, one_seed).verdict == "not run: 1 of at least 2 seeds: too few for an interval"
    assert (
        judge(with_function(lambda m: m.less("loss", "ropee", than="rope")), M).reason
        == "no arm 'ropee'; nearest: rope"
    )


def test_a_claim_that_gives_no_evidence_is_told_what_is_expected():
    reason = judge(with_function(lambda m: 0.3), M).reason
    assert reason == "its function gave 0.3, not evidence such as m.less(...) gives"


def test_a_mistake_in_a_claim_is_said_and_costs_that_claim_alone():
    judgement = judge(with_function(lambda m: 1 / 0), M)
    assert judgement.verdict == "not run: its function failed: ZeroDivisionError: division by zero"


def test_a_second_look_is_judged_at_a_corrected_level_and_says_so():
    first, second = judge(CLAIM, M).evidence, judge(CLAIM, M, extended_from=3).evidence
    assert second.level == pytest.approx(0.975)
    assert second.low < first.low
    assert "extended from n=3" in second.notes
    assert not any("extended" in note for note in first.notes)


def test_an_effect_that_just_held_no_longer_holds_at_the_second_look():
    by = (judge(CLAIM, M).evidence.low + judge(CLAIM, M, extended_from=3).evidence.low) / 2
    just = with_function(lambda m: m.less("loss", "rope", than="sinusoidal", by=by))
    assert judge(just, M).word == "holds"
    assert judge(just, M, extended_from=3).word == "inconclusive"


@pytest.mark.parametrize("judgement", [judge(CLAIM, M), judge(Claim("C3", "S.", "P.", not_run="why"), None)])
def test_a_judgement_survives_json(judgement):
    assert Judgement.from_dict(json.loads(json.dumps(judgement.to_dict(), allow_nan=False))) == judgement


def test_only_claims_with_evidence_count_as_tested():
    judgements = [judge(CLAIM, M), judge(CLAIM, M), judge(Claim("C3", "S.", "P.", not_run="why"), None)]
    assert how_many_tested(judgements) == 2
    # 1 - 0.975 ** 2
    assert luck_note(judgements) == (
        "2 claims tested: if none of these effects were real, "
        "chance alone would make at least one hold in 5% of such studies."
    )


def test_exact_claims_leave_nothing_to_chance():
    assert luck_note([judge(with_function(lambda m: m.exact("loss", 2.0)), M)]) == "1 claim tested."


def test_judgements_are_read_without_scipy():
    heavy = ("numpy", "scipy", "torch")
    code = f"import sys, allyouneed.lab.judging.claims as c; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
