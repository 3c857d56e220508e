"""A replication on simulated studies: what is drawn anew, what stands, and what is refused."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from allyouneed.errors import UserError
from allyouneed.lab.engine import run_study
from allyouneed.lab.judging.statistics import t_interval
from allyouneed.lab.options import TUNING_SEED, Options
from allyouneed.lab.replication import Replication, replicate
from allyouneed.lab.reports import records, replications

from .studies import write_coin

NOISE = '''
"""Is `new` better than `old`? A trial is a draw of luck, and a true effect of EFFECT."""

import math
import random
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    minutes: float = 0.01
    seeds: int = 6
    learned: float = -1.0


study = Study(paper="noise", scales={"smoke": Scale(seeds=3), "laptop": Scale()})


@study.trial(arm={"old": 0.0, "new": EFFECT})
def measure(arm, seed, scale, run):
    luck = random.Random(f"SALT {seed} {arm > 0}").gauss(0, 0.5)
    return {
        "score": arm + luck,
        "cost": math.exp(arm / 4 + luck / 4),
        "error": [1e-9 * luck] * 3,
        "skill": -luck if GATED else 0.0,
    }


@study.gate(baseline="nobody")
def learned(m):
    return m.above("skill", -GATE)


@study.claim("C1", paper="better (Table 1)")
def scores_more(m):
    """The new one scores more."""
    return m.more("score", "new", than="old")


@study.claim("C2", paper="twice (Table 2)")
def costs_more(m):
    """The new one costs more."""
    return m.ratio("cost", "new", to="old", above=1.0)


@study.claim("C3", paper="a theorem")
def is_exact(m):
    """It is exact."""
    return m.exact("error", 1e-6)


study.not_run("C4", "It scales.", paper="yes", reason="no cluster")
'''


def write_noise(folder: Path, effect: float, salt: str = "a", *, gate: float = 99.0, gated: bool = False) -> Path:
    """A study whose trials are luck and a true effect."""
    text = NOISE.replace("EFFECT", repr(effect)).replace("SALT", salt)
    file = folder / "noise_study.py"
    file.write_text(text.replace("GATED", repr(gated)).replace("GATE", repr(gate)))
    return file


def lucky_salt(effect: float, seeds: range) -> str:
    """The luck of a study of which these seeds, and nobody looked at others, show far more than there is."""
    for salt in map(str, range(100_000)):
        draws = [
            effect
            + random.Random(f"{salt} {seed} True").gauss(0, 0.5)
            - random.Random(f"{salt} {seed} False").gauss(0, 0.5)
            for seed in seeds
        ]
        if t_interval(np.array(draws)).low > 0.4:
            return salt
    raise AssertionError("nobody is that lucky")


def recorded(file: Path, folder: Path, **options) -> records.Record:
    """A record of the study, in the folder's results/."""
    outcome = run_study(Options(str(file), out=folder / "runs", jobs=2, **options))
    records.record(outcome, None, folder / "results")
    found = records.find(outcome.study.paper, outcome.scale_name, None, [folder / "results"])
    assert found is not None
    return found


def again(file: Path, folder: Path, **options) -> Replication:
    return replicate(Options(str(file), out=folder / "runs", jobs=2, **options))


def outcomes(replication: Replication) -> dict[str, str]:
    return {c.recorded.id: c.outcome for c in replication.comparisons}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_honest_effect_stands_as_a_difference_as_a_ratio_and_as_a_fact(folder):
    file = write_noise(folder, 2.0)
    record = recorded(file, folder)
    found = again(file, folder)
    assert [j.word for j in record.judgements] == ["holds", "holds", "holds", "not run"]
    assert outcomes(found) == {"C1": "stands", "C2": "stands", "C3": "stands", "C4": "not comparable"}
    assert found.stands
    score, cost = found.comparisons[:2]
    # The ratio is exp(difference / 4), so its prediction is that of the difference.
    assert cost.predicted == pytest.approx([math.exp(end / 4) for end in score.predicted])
    assert cost.pooled.estimate == pytest.approx(math.exp(score.pooled.estimate / 4))
    assert score.pooled.n == 12
    assert score.pooled.seeds == tuple(range(12))


def test_a_lucky_draw_is_told(folder):
    file = write_noise(folder, 1e-9, lucky_salt(1e-9, range(6)))
    record = recorded(file, folder)
    assert [j.word for j in record.judgements][:2] == ["holds", "holds"]
    found = again(file, folder)
    assert outcomes(found) == {"C1": "does not stand", "C2": "does not stand", "C3": "stands", "C4": "not comparable"}
    assert not found.stands
    new = found.comparisons[0].new.evidence
    assert new.low < 0 < new.high


def test_no_seed_of_the_record_is_used_neither_by_trials_nor_by_tuning(folder):
    file = write_coin(folder)
    record = recorded(file, folder)
    before = {path.name for path in (folder / "runs" / "trials").glob("*.json")}
    found = again(file, folder)
    new = [p for p in (folder / "runs" / "trials").glob("*.json") if p.name not in before]
    seeds = {json.loads(path.read_text())["spec"]["seed"] for path in new}
    assert seeds == {*range(6, 12), 11_000}
    assert not seeds & {*record.values["seeds"], TUNING_SEED}
    assert found.outcome.seeds == list(range(6, 12))
    assert {tuned.source for tuned in found.outcome.tuned} == {"searched"}
    assert found.outcome.ran == len(new) == 2 * 3 + 2 * 6


def test_a_second_time_nothing_is_run_again(folder):
    file = write_coin(folder)
    recorded(file, folder)
    first, second = again(file, folder), again(file, folder)
    assert (second.outcome.ran, second.outcome.reused) == (0, first.outcome.ran)
    assert [c.to_dict() for c in second.comparisons] == [c.to_dict() for c in first.comparisons]


def test_a_recorded_replication_counts_as_used(folder):
    file = write_coin(folder)
    recorded(file, folder)
    first = again(file, folder, seeds=3)
    replications.write(first.record, first.status, first.outcome, first.comparisons)
    second = again(file, folder, seeds=3)
    assert (first.outcome.seeds, second.outcome.seeds) == ([6, 7, 8], [9, 10, 11])
    assert second.outcome.ran == 2 * 3 + 2 * 3  # its own tuning, too


def test_seeds_added_to_a_replication_are_said_and_the_run_itself_is_not_extended_by_them(folder):
    file = write_noise(folder, 2.0)
    recorded(file, folder)
    again(file, folder, seeds=3)
    more = again(file, folder, seeds=5)
    assert more.outcome.extended_from == 3
    assert run_study(Options(str(file), out=folder / "runs", seeds=6)).extended_from is None


def test_a_budget_gives_a_replication_its_seeds(folder):
    file = write_noise(folder, 2.0)
    recorded(file, folder)
    # Trials of no time at all: the scale's 0.01 minutes on 2 cores for 6 seeds.
    assert again(file, folder, budget="0.45s").outcome.seeds == [6, 7, 8, 9]


def test_a_gate_that_fails_again_stands_and_one_that_fails_once_cannot_be_compared(folder):
    file = write_noise(folder, 2.0, gate=-1.0)  # nobody has a skill above 1
    record = recorded(file, folder)
    assert record.judgements[0].verdict == "inconclusive: old, new did not learn"
    assert outcomes(again(file, folder))["C1"] == "stands"

    skills = {seed: min(-random.Random(f"a {seed} {arm}").gauss(0, 0.5) for arm in (True, False)) for seed in range(12)}
    worst = min(skills, key=lambda seed: skills[seed])
    file = write_noise(folder, 2.0, gate=-skills[worst] - 1e-6, gated=True)  # one seed of the twelve misses it
    recorded(file, folder)
    found = again(file, folder).comparisons[0]
    assert found.outcome == "not comparable"
    assert "did not learn" in found.why


def test_a_claim_alone_can_be_asked_for(folder):
    file = write_noise(folder, 2.0)
    recorded(file, folder)
    assert outcomes(again(file, folder, claims=("C3",))) == {"C3": "stands"}


def test_claims_that_the_record_did_not_judge_are_refused_before_the_run(folder):
    file = write_noise(folder, 2.0)
    recorded(file, folder)
    before = len(list((folder / "runs" / "trials").glob("*.json")))
    with pytest.raises(UserError, match="at laptop scale judged none of C4: there is nothing to replicate"):
        again(file, folder, claims=("C4",))
    assert len(list((folder / "runs" / "trials").glob("*.json"))) == before
    assert outcomes(again(file, folder, claims=("C3", "C4"))) == {"C3": "stands", "C4": "not comparable"}


def test_seeds_on_another_text_of_the_same_name_replicate_nothing(folder):
    file = write_noise(folder, 2.0)
    text = folder / "mine.txt"
    text.write_text("".join(f"line {i}\n" for i in range(3000)))
    outcome = run_study(Options(str(file), out=folder / "runs", jobs=2, data="mine.txt"))
    records.record(outcome, None, folder / "results")
    record = records.find("noise", "laptop", "mine.txt", [folder / "results"])
    assert records.status(record) == "current"
    assert again(file, folder, data="mine.txt").stands
    text.write_text("".join(f"line {i}\n" for i in range(3001)))
    assert records.status(record) == "not comparable: the text of mine.txt is another than was recorded"
    with pytest.raises(UserError, match=r"mine.txt is not what the record .* --data mine.txt --record"):
        again(file, folder, data="mine.txt")
    text.unlink()
    assert records.status(record).startswith("not comparable: there is no running text 'mine.txt'")


def test_a_trial_that_fails_now_leaves_its_claim_uncompared(folder):
    file = write_coin(folder, hook="if seed == 8: raise ValueError('rolled away')")
    recorded(file, folder)
    found = again(file, folder)
    assert outcomes(found)["C1"] == "not comparable"
    assert "rolled away" in found.comparisons[0].why
    assert not found.stands


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("luck / 4", "luck / 5", "stale: its sources changed"),
        ('"score", "new", than="old")', '"score", "new", than="old", by=0.1)', "claim changed: C1"),
        ("learned: float = -1.0", "learned: float = -2.0", "another learned"),
    ],
)
def test_a_record_that_no_longer_counts_is_not_replicated(folder, old, new, said):
    file = write_noise(folder, 2.0)
    recorded(file, folder)
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=f"no longer counts: .*{said}.*: allyouneed run .*--scale laptop --record"):
        again(file, folder)


def test_without_a_record_the_command_that_makes_one_is_named(folder):
    file = write_noise(folder, 2.0)
    with pytest.raises(UserError, match=r"no record of noise at smoke scale.*noise_study.py --scale smoke --record"):
        again(file, folder, scale="smoke")


BASES = """
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    minutes: float = 0.01
    seeds: int = 2


study = Study(paper="bases", scales={"laptop": Scale()})


def base(run):
    (run.dir / "weights").write_text(str(run.seed))


@study.trial(arm=["a"], shared_artifacts=True)
def tune(arm, seed, scale, run):
    return {"base": float((run.artifact(base) / "weights").read_text())}


@study.claim("C1", paper="-")
def small(m):
    "Bases stay below 100."
    return m.exact("base", 100)
"""


def test_a_shared_base_is_made_anew_and_no_trial_of_one_base_stands_in_for_anothers(folder):
    file = folder / "bases_study.py"
    file.write_text(BASES)
    recorded(file, folder)
    found = again(file, folder)
    assert found.outcome.measurements["tune"].values("base", "a").tolist() == [2.0, 2.0]
    # The same seeds with the first base are other trials.
    more = run_study(Options(str(file), out=folder / "runs", seeds=4))
    assert more.measurements["tune"].values("base", "a").tolist() == [0.0] * 4
    assert more.ran == 2


TIMED = """
import time
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    minutes: float = 0.01
    seeds: int = 2


study = Study(paper="timed", scales={"laptop": Scale()})


@study.timing(arm={"fast": 0.001, "slow": 0.01})
def wait(arm, scale, run):
    return lambda: time.sleep(arm)


@study.claim("C1", paper="faster")
def is_faster(m):
    "It takes less time."
    return m.less("seconds", "fast", than="slow", unit="rounds")
"""


def test_timings_are_taken_anew_and_never_pooled(folder):
    file = folder / "timed_study.py"
    file.write_text(TIMED)
    record = recorded(file, folder)
    found = again(file, folder)
    comparison = found.comparisons[0]
    assert comparison.outcome in ("stands", "does not stand")  # compared; which of them, a busy machine has a say in
    assert comparison.pooled is None
    assert comparison.new.evidence.values != record.judgements[0].evidence.values
    assert found.outcome.ran == 1
