"""Trends end to end: the smaller sizes are run, tuned and gated for themselves, and told beside the verdict."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from allyouneed.lab import Study
from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.reports import records, report, saved, scoreboard, terminal

from .reports.test_report import Page

GROWING = '''
"""Does the wide arm gain more from size than the narrow one?"""

import random
from dataclasses import dataclass
from typing import Any

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    size: int
    minutes: float = 0.01
    seeds: int = 5
    smaller: tuple[dict[str, Any], ...] = ()


study = Study(
    paper="growing",
    scales={"smoke": Scale(8), "laptop": Scale(64, smaller=({"size": 16}, {"size": 32}))},
)


@study.trial(arm=["narrow", "wide", "unused"], tune={"lr": [1, 2, 4], "on": "tune_loss"})
def train(arm, seed, scale, run, lr):
    rng = random.Random(f"{arm} {seed} {scale.size}")
    best = {16: 2, 32: 2, 64: 4}.get(scale.size, 1)
    HOOK
    loss = {"narrow": 2.0, "wide": 2.0 - scale.size / 100, "unused": 0.0}[arm] + rng.gauss(0, 0.01)
    return {"loss": loss, "tune_loss": loss + abs(lr - best)}


@study.gate(baseline="chance")
def learned(m):
    return m.below("loss", 3.0)


@study.trial(arm=["one"])
def count(arm, seed, scale, run):
    return {"size": scale.size + seed}


@study.claim("C1", paper="grows (Figure 1)", trend=True)
def wide_is_lower(m):
    """The wide arm has the lower loss."""
    return m.less("loss", "wide", than="narrow")


@study.claim("C2", paper="no trend asked")
def again(m):
    """The unused arm has the lower loss."""
    return m.less("loss", "unused", than="narrow")


@study.claim("C3", paper="exact", trial=count, trend=True)
def small(m):
    """Sizes stay below 100."""
    return m.exact("size", 100)
'''


def write_growing(folder: Path, hook: str = "") -> Path:
    file = folder / "growing_study.py"
    file.write_text(GROWING.replace("HOOK", hook or "pass"))
    return file


def run(file: Path, out: Path, **options) -> Outcome:
    return run_study(Options(str(file), out=out, jobs=2, **options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("growing")


@pytest.fixture(scope="module")
def outcome(folder) -> Outcome:
    return run(write_growing(folder), folder / "runs")


def test_the_effect_at_every_size_is_told_with_its_trend(outcome):
    told = {j.id: j.trend for j in outcome.judgements}
    assert told["C2"] is None
    assert told["C3"] is None
    trend = told["C1"]
    assert [at.size for at in trend.sizes] == ["16", "32", "64"]
    assert [at.estimate for at in trend.sizes] == pytest.approx([0.16, 0.32, 0.64], abs=0.02)
    assert trend.sizes[-1].estimate == outcome.judgements[0].evidence.estimate
    assert (trend.word, trend.n) == ("grows", 5)
    assert str(trend).startswith("size 16 -> 32 -> 64: 0.1")


def test_only_the_arms_that_the_claim_used_are_run_there_with_the_same_seeds(outcome):
    assert list(outcome.smaller) == ["size 16", "size 32"]
    for results in outcome.smaller.values():
        assert {(r.trial, r.arm) for r in results} == {("train", "narrow"), ("train", "wide")}
        assert sorted({r.seed for r in results}) == outcome.seeds
    tried = 3 * (3 + 2 + 2)
    assert outcome.ran == tried + 5 * 3 + 5 + 2 * 5 * 2


def test_every_size_is_tuned_for_itself(outcome):
    chosen = {(t.size, t.arm): t.values["lr"] for t in outcome.tuned}
    assert chosen["", "wide"] == 4
    assert chosen["size 16", "wide"] == chosen["size 32", "narrow"] == 2
    assert ("size 16", "unused") not in chosen


def test_the_scale_itself_keeps_its_trials_when_its_sizes_change(outcome, folder, tmp_path):
    file = tmp_path / "growing_study.py"
    file.write_text(write_growing(folder).read_text().replace('({"size": 16}, {"size": 32})', '({"size": 48},)'))
    again = run(file, folder / "runs")
    assert list(again.smaller) == ["size 48"]
    assert again.ran == 2 * 3 + 5 * 2
    assert again.folder == outcome.folder
    assert not any("extended" in note for j in again.judgements if j.evidence for note in j.evidence.notes)


def test_it_can_be_left_out(outcome, folder):
    without = run(write_growing(folder), folder / "runs", trend=False)
    assert (without.ran, without.smaller, without.judgements[0].trend) == (0, {}, None)
    assert without.judgements[0].evidence == outcome.judgements[0].evidence


def test_claims_that_were_not_asked_for_have_none(folder, outcome):
    assert run(write_growing(folder), folder / "runs", claims=("C2",)).smaller == {}
    assert run(write_growing(folder), folder / "runs", scale="smoke").smaller == {}


def test_a_set_value_that_makes_the_sizes_leaves_no_trend(folder):
    assert run(write_growing(folder), folder / "runs", overrides={"size": "20"}, claims=("C1",)).smaller == {}


def test_an_arm_that_does_not_learn_at_a_size_leaves_it_out(tmp_path):
    hook = "if scale.size == 16 and arm == 'wide' and seed < 5: return {'loss': 4.0, 'tune_loss': 4.0}"
    judged = run(write_growing(tmp_path, hook), tmp_path / "runs", claims=("C1",)).judgements[0]
    assert judged.word == "holds"
    assert judged.trend.word == "grows"
    assert str(judged.trend).endswith("grows; 16: wide did not learn")
    assert judged.trend.short == "grows from size 32"


def test_a_trial_that_fails_at_a_size_is_named_and_costs_the_trend_alone(tmp_path):
    hook = "assert not (scale.size == 32 and seed == 3), 'no memory'"
    outcome = run(write_growing(tmp_path, hook), tmp_path / "runs", claims=("C1",))
    assert outcome.judgements[0].word == "holds"
    assert outcome.judgements[0].trend.sizes[1].reason.startswith("narrow, seed 3 failed")
    assert {(f.arm, f.seed) for f in outcome.failures} == {("narrow", 3), ("wide", 3)}
    assert all(f.reason.startswith("at size 32: ") for f in outcome.failures)
    assert {f.size for f in outcome.failures} == {"size 32"}
    assert not outcome.failed


def test_of_a_grid_every_arm_is_run_at_every_size(tmp_path):
    """At the smaller size another arm is best, and a claim that chooses by numbers still has all seeds."""
    file = write_growing(tmp_path)
    text = file.read_text().replace("import Study", "import Study, grid")
    text += '''

@study.trial(arm=grid(norm=["a", "b"], lr=[1, 2, 3]))
def sweep(arm, seed, scale, run):
    best = 3 if scale.size == 64 else 1 + seed % 2
    loss = scale.size / 64 * (arm.norm == "b") + random.Random(f"{seed} {arm.norm} {scale.size}").gauss(0, 0.01)
    return {"loss": loss, "tune_loss": abs(arm.lr - best)}


@study.claim("C4", paper="-", trial=sweep, trend=True)
def by_numbers(m):
    """The arm that is chosen by hand has the lower loss."""

    def effect(u):
        lr = min((1, 2, 3), key=lambda lr: u[f"norm=b, lr={lr}"]["tune_loss"])
        return u[f"norm=b, lr={lr}"]["loss"] - u[f"norm=a, lr={lr}"]["loss"]

    return m.effect(effect).above(0)
'''
    file.write_text(text)
    outcome = run(file, tmp_path / "runs", claims=("C4",))
    assert {r.arm for r in outcome.smaller["size 16"]} == {f"norm={n}, lr={lr}" for n in "ab" for lr in (1, 2, 3)}
    assert (outcome.judgements[0].trend.word, outcome.judgements[0].trend.n) == ("grows", 5)


def test_a_size_that_no_value_can_train_is_named(tmp_path):
    hook = "assert not (scale.size == 16 and arm == 'wide'), 'too small'"
    outcome = run(write_growing(tmp_path, hook), tmp_path / "runs", claims=("C1",))
    assert "no value could be trained" in outcome.judgements[0].trend.sizes[0].reason
    assert outcome.judgements[0].trend.word == "grows"


def test_the_report_shows_it(outcome):
    page = Page(report.write(outcome).read_text())
    assert str(outcome.judgements[0].trend) in page.text
    assert "wide at size 16" in page.text
    table = (outcome.folder / "measurements.csv").read_text().splitlines()
    assert sum(line.endswith(",size 16") for line in table) == 2 * 5 * 2


def test_the_terminal_shows_it_under_the_claim(outcome):
    console = Console(file=io.StringIO(), width=200)
    console.print(terminal.claims_table(outcome))
    assert "trend: size 16 -> 32 -> 64: 0.1" in console.file.getvalue()


def test_it_survives_the_runs_file(outcome, folder):
    report.write(outcome)
    again = saved.read(outcome.folder)
    assert again.judgements == outcome.judgements
    assert again.smaller == outcome.smaller
    assert again.tuned == outcome.tuned


def test_a_record_keeps_it_and_gives_every_size_its_tuned_values_back(outcome, folder, monkeypatch):
    root = folder / "results"
    file = records.record(outcome, None, root)
    record = records.read_records([root])[0]
    assert record.judgements == outcome.judgements
    assert [len(rows) for rows in record.values["smaller"].values()] == [10, 10]
    assert "grows from size 16" in scoreboard.markdown([record])
    assert records.status(record) == "current"
    monkeypatch.chdir(folder)
    again = run(write_growing(folder), folder / "runs")
    assert again.ran == 0
    assert {(t.size, t.arm, t.source) for t in again.tuned} == {(t.size, t.arm, "recorded") for t in outcome.tuned}
    assert again.judgements == outcome.judgements

    values = json.loads(file.read_text())
    for judgement in values["judgements"]:
        del judgement["trend"]
    for tuned in values["tuned"]:
        del tuned["size"]
    old = records.Record(file, values)
    assert all(j.trend is None for j in old.judgements)


def test_a_timing_has_no_trend():
    study = Study(paper="p", scales={})

    @study.timing(arm=["a"])
    def clock(arm, scale, run):
        return None

    with pytest.raises(ValueError, match="reads a timing"):

        @study.claim("C1", paper="-", trial=clock, trend=True)
        def fast(m):
            """It is fast."""
