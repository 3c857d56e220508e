"""`--budget`: how many seeds fit into a time, and from what that is reckoned."""

import json

import pytest

from allyouneed.errors import UserError
from allyouneed.lab import budget
from allyouneed.lab.budget import Cost, cost_of, fit, minutes, recorded_seconds
from allyouneed.lab.engine import run_study
from allyouneed.lab.loading import load_study
from allyouneed.lab.options import Options
from allyouneed.lab.reports import records
from allyouneed.lab.reports.records import Record
from allyouneed.lab.trials.executor import Display

from .studies import write_coin


class Heard(Display):
    """Keeps the lines that stay."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("8h", 480), ("30m", 30), ("2h30m", 150), ("90s", 1.5), ("1.5h", 90), ("1h1m30s", 61.5)]
)
def test_a_time_is_read_in_minutes(text, expected):
    assert minutes(text) == expected


@pytest.mark.parametrize("text", ["", "8", "h", "8 hours", "30m2h", "-1h", "0h", "1d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UserError, match="8h, 30m, 2h30m or 90s"):
        minutes(text)


@pytest.mark.parametrize(
    ("text", "cost", "n_workers", "n"),
    [
        ("8h", Cost(20, 0, "-"), 1, 24),
        ("8h", Cost(20, 30, "-"), 1, 22),  # 450 minutes are left, 22 and a half seeds
        ("8h", Cost(20, 30, "-"), 2, 46),
        ("40m", Cost(20, 0, "-"), 1, 2),  # to the last minute
    ],
)
def test_as_many_seeds_as_fit_beside_the_tuning(text, cost, n_workers, n):
    assert fit(text, cost, n_workers, most=10_000)[0] == n


def test_the_sentence_says_from_what_it_was_reckoned():
    assert fit("8h", Cost(20, 30, "measured by the record on an abacus"), 2, 10_000)[1] == (
        "budget 8h: 46 seeds (a seed takes about 20.0 min of one worker, tuning about 30.0 min; 2 workers; "
        "measured by the record on an abacus)"
    )


def test_a_budget_too_short_for_any_interval_says_what_it_would_take():
    with pytest.raises(UserError, match=r"--budget 1m: 2 seeds.* take 35.0 min"):
        fit("1m", Cost(20, 30, "-"), 2, 10_000)


def test_there_are_never_more_seeds_than_there_can_be():
    assert fit("8h", Cost(1e-9, 0, "-"), 1, most=9_994)[0] == 9_994


def test_a_seed_costs_every_arm_once_and_tuning_every_candidate(tmp_path):
    trial = load_study(str(write_coin(tmp_path))).trials["toss"]
    seconds = {("toss", "fair"): 60.0, ("toss", "biased"): 120.0}
    searches = [(trial, "fair"), (trial, "biased")]
    whole = {"toss": 1.0}
    assert cost_of([trial], [], {}, seconds, "-", whole) == Cost(3.0, 0.0, "-")
    assert cost_of([trial], searches, {}, seconds, "-", whole) == Cost(3.0, 9.0, "-")
    assert cost_of([trial], searches[:1], {"pause": "0.1,0.2"}, seconds, "-", whole) == Cost(3.0, 2.0, "-")
    assert cost_of([trial], searches, {}, seconds, "-", {"toss": 0.1}) == Cost(3.0, pytest.approx(0.9), "-")


def test_an_arm_that_was_never_timed_counts_as_the_mean_of_the_others(tmp_path):
    trial = load_study(str(write_coin(tmp_path))).trials["toss"]
    assert cost_of([trial], [(trial, "biased")], {}, {("toss", "fair"): 60.0}, "-", {"toss": 1.0}) == Cost(
        2.0, 3.0, "-"
    )


def test_recorded_seconds_are_means_over_seeds_and_sums_over_sizes(tmp_path):
    def result(arm, seconds):
        return {"trial": "train", "arm": arm, "seconds": seconds}

    own = [result("a", 10.0), result("a", 20.0), result("b", 4.0)]
    record = Record(tmp_path, {"results": own, "smaller": {"d_model 8": [result("a", 1.0), result("a", 3.0)]}})
    assert recorded_seconds(record, with_smaller=True) == {("train", "a"): 17.0, ("train", "b"): 4.0}
    assert recorded_seconds(record, with_smaller=False) == {("train", "a"): 15.0, ("train", "b"): 4.0}


def run(folder, **options):
    """A run of the coin study in a folder of its own; what was said, and the outcome."""
    display = Heard()
    file = folder / "coin_study.py"
    outcome = run_study(Options(str(file), out=folder / "runs", jobs=2, **options), display)
    return display.lines, outcome


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_coin(tmp_path)
    return tmp_path


def test_without_a_record_the_scales_minutes_count_and_tuning_comes_on_top(folder):
    # 0.01 minutes on 2 cores for 6 seeds of 2 arms: 0.1 s a trial. 6 tuning trials leave 2 of 2.6 s.
    lines, outcome = run(folder, budget="1.3s")
    assert lines[0].startswith("budget 1.3s: 10 seeds (a seed takes about 0 s of one worker, tuning about 1 s; 2 work")
    assert lines[0].endswith("by the 1 s that the scale states)")
    assert outcome.seeds == list(range(10))
    assert outcome.judgements[0].evidence.n == 10


def recorded(folder, seconds):
    """A record, made on an abacus, whose every trial took so long."""
    file = records.record(run(folder)[1], None, folder / "results")
    values = json.loads(file.read_text())
    for result in values["results"]:
        result["seconds"] = seconds
    values["machine"] = {"cpu": "an abacus", "gpu": None}
    file.write_text(json.dumps(values))


def test_a_record_says_what_a_seed_takes_and_on_whose_processor(folder):
    recorded(folder, seconds=30.0)
    lines, outcome = run(folder, budget="5m")  # the recorded values are taken: there is nothing to tune
    said = "a seed takes about 1.0 min of one worker; 2 workers; measured by the record on an abacus"
    assert lines[0] == f"budget 5m: 10 seeds ({said})"
    assert outcome.extended_from == 6
    lines, outcome = run(folder, budget="5m", retune=True)
    assert lines[0].startswith("budget 5m: 7 seeds (a seed takes about 1.0 min of one worker, tuning about 3.0 min;")


def test_an_overridden_scale_is_not_the_one_that_was_recorded(folder):
    recorded(folder, seconds=30.0)
    assert "that the scale states" in run(folder, budget="1s", overrides={"flips": "7"})[0][0]


def test_shorter_tries_cost_less_and_what_the_user_sets_is_no_shorter(folder):
    file = folder / "coin_study.py"
    file.write_text(file.read_text().replace('"on": "cost"', '"on": "cost", "at": {"flips": 40}'))
    assert "tuning about 0 s;" in run(folder, budget="1.3s")[0][0]  # of 0.6 s a tenth
    assert "tuning about 1 s;" in run(folder, budget="1.3s", overrides={"flips": "401"})[0][0]


def test_the_stated_minutes_are_those_of_the_trials_that_the_scale_judges(folder):
    file = folder / "coin_study.py"
    text = file.read_text().replace(
        "    seeds: int = 6\n", "    seeds: int = 6\n    claims: tuple = ('C1', 'C2', 'C3')\n"
    )
    text += """

@study.trial(arm=["a", "b"])
def elsewhere(arm, seed, scale, run):
    return {"x": 0}


@study.claim("C4", paper="-", trial=elsewhere)
def another(m):
    "Is judged at no scale."
    return m.exact("x", 1)
"""
    file.write_text(text)
    assert run(folder, budget="1.3s")[0][0].startswith("budget 1.3s: 10 seeds")


def test_more_workers_than_cores_give_no_more_seeds(folder, monkeypatch):
    monkeypatch.setattr(budget, "machine", lambda: {"cores": 1})
    lines, _ = run(folder, budget="1.3s")
    assert lines[0].startswith("budget 1.3s: 3 seeds (")  # 1.3 s less 0.6 s of tuning, at 0.2 s a seed
    assert "; 1 worker;" in lines[0]


def test_a_record_of_trials_too_short_to_time_says_nothing(folder):
    recorded(folder, seconds=0.0)
    assert "that the scale states" in run(folder, budget="1s")[0][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "8h", "seeds": 3}, "leave out --seeds"),
        ({"budget": "tomorrow"}, "--budget tomorrow"),
        ({"budget": "0.1s"}, "2 seeds, the fewest"),
        ({"budget": "8h", "claims": ("C3",)}, "no claim here reads a trial"),
    ],
)
def test_budgets_that_make_no_sense_are_refused_before_the_first_trial(folder, options, message):
    with pytest.raises(UserError, match=message):
        run(folder, **options)
    assert not list((folder / "runs").glob("trials/*.json"))
