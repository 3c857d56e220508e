"""The engine's promises, each on a real run with real worker processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.engine import run_study
from allyouneed.lab.options import TUNING_SEED, Options
from allyouneed.lab.outcome import Outcome
from allyouneed.lab.reports import records, report

from .studies import write_coin


def run(file: Path, out: Path, **options) -> Outcome:
    """A run on two workers."""
    return run_study(Options(str(file), out=out, jobs=2, **options))


def words(outcome: Outcome) -> dict[str, str]:
    return {j.id: j.word for j in outcome.judgements}


def test_a_run_ends_with_verdicts_a_sample_and_tuned_values(tmp_path):
    outcome = run(write_coin(tmp_path), tmp_path / "runs")
    assert words(outcome) == {"C1": "holds", "C2": "contradicted", "C3": "not run"}
    assert outcome.sample is not None
    assert outcome.sample[1].startswith("first flips")
    assert {t.arm: t.values for t in outcome.tuned} == {"fair": {"pause": 0.0}, "biased": {"pause": 0.0}}
    assert all("edge" in t.warnings[0] for t in outcome.tuned)
    assert outcome.ran == 2 * 3 + 2 * 6


def test_tuning_uses_seeds_that_no_claim_uses(tmp_path):
    outcome = run(write_coin(tmp_path), tmp_path / "runs")
    specs = [json.loads(file.read_text())["spec"] for file in (tmp_path / "runs" / "trials").glob("*.json")]
    tuning = {spec["seed"] for spec in specs} - set(outcome.seeds)
    assert tuning == {TUNING_SEED}


def test_a_second_run_reuses_every_trial(tmp_path):
    first = run(write_coin(tmp_path), tmp_path / "runs")
    second = run(write_coin(tmp_path), tmp_path / "runs")
    assert (second.ran, second.reused) == (0, first.ran)
    assert second.folder == first.folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Does the biased coin show more heads?"""', '"""Another docstring."""  # and a comment'),
        ('m.more("heads", "biased", than="fair")', 'm.more("heads", "biased", than="fair", by=0.01)'),
        ('return m.curves("loss", x="step", y="loss")', 'return m.curves("loss", x="step", y="a label")'),
        ('m.above("heads", 0.0)', 'm.above("heads", 0.01)'),
    ],
    ids=["a docstring", "a claim", "a figure", "a gate"],
)
def test_what_is_not_the_trial_changes_no_trial(tmp_path, old, new):
    file = write_coin(tmp_path)
    run(file, tmp_path / "runs")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert run(file, tmp_path / "runs").ran == 0


def test_what_the_trial_reaches_changes_its_trials(tmp_path):
    file = write_coin(tmp_path)
    first = run(file, tmp_path / "runs")
    file.write_text(file.read_text().replace("rng.random() < bias", "rng.random() <= bias"))
    assert run(file, tmp_path / "runs").ran == first.ran


def test_a_changed_claim_has_another_digest(tmp_path):
    file = write_coin(tmp_path)
    before = run(file, tmp_path / "runs").claim_digests
    file.write_text(file.read_text().replace('"biased", than="fair")', '"biased", than="fair", by=0.01)'))
    after = run(file, tmp_path / "runs").claim_digests
    assert before["C1"] != after["C1"]
    assert before["C2"] == after["C2"]


def test_what_a_gate_shares_with_its_trial_is_vouched_for_by_the_trial(tmp_path):
    """Or every change to a module that both use would ask for a new record, though the behaviour is the same."""
    file = write_coin(tmp_path)
    text = file.read_text()
    assert 'm.above("heads", 0.0)' in text
    assert "rng.random() < bias" in text
    (tmp_path / "shared.py").write_text("def bar():\n    return 0.0\n")
    (tmp_path / "alone.py").write_text("def bar():\n    return 0.0\n")
    text = text.replace('m.above("heads", 0.0)', 'm.above("heads", shared.bar() + alone.bar())')
    text = text.replace("rng.random() < bias", "rng.random() < bias + shared.bar()")
    head, imports, rest = text.partition("import ")
    file.write_text(f"{head}import alone\nimport shared\n{imports}{rest}")
    before = run(file, tmp_path / "runs")
    (tmp_path / "shared.py").write_text("def bar():\n    return 0.0 * 1\n")
    after = run(file, tmp_path / "runs")
    assert after.claim_digests == before.claim_digests
    assert after.digests != before.digests
    (tmp_path / "alone.py").write_text("def bar():\n    return 0.0 * 1\n")
    assert run(file, tmp_path / "runs").claim_digests != before.claim_digests


def test_one_failed_trial_is_named_and_the_rest_goes_on(tmp_path):
    file = write_coin(tmp_path, hook="assert not (seed == 3 and arm == 0.7), 'tails again'")
    outcome = run(file, tmp_path / "runs")
    assert [(f.arm, f.seed) for f in outcome.failures] == [("biased", 3)]
    assert "tails again" in outcome.failures[0].reason
    assert outcome.ran == 2 * 3 + 2 * 6 - 1
    judged = next(j for j in outcome.judgements if j.id == "C1")
    assert judged.word == "not run"
    assert "biased" in judged.reason
    assert "seed 3" in judged.reason


def test_a_value_that_diverges_in_tuning_loses_and_is_said(tmp_path):
    file = write_coin(tmp_path, hook="if pause == 0.0: raise ValueError('diverged')")
    outcome = run(file, tmp_path / "runs")
    assert {t.values["pause"] for t in outcome.tuned} == {0.001}
    assert "fair could not be trained with pause=0.0" in outcome.tuned[0].warnings
    assert not outcome.failures
    assert words(outcome)["C1"] == "holds"


def test_an_arm_that_no_value_can_train_fails_its_claims_alone(tmp_path):
    file = write_coin(tmp_path, hook="if arm == 0.7: raise ValueError('diverged')")
    outcome = run(file, tmp_path / "runs")
    assert [(f.arm, f.reason) for f in outcome.failures] == [
        ("biased", "no value could be trained: ValueError: diverged")
    ]
    judged = next(j for j in outcome.judgements if j.id == "C1")
    assert judged.word == "not run"
    assert "biased" in judged.reason
    assert report.write(outcome).is_file()


def test_a_diverged_training_is_one_trials_own_affair(tmp_path):
    hook = "if seed == 2: raise __import__('allyouneed.errors').errors.UserError('the loss is nan')"
    outcome = run(write_coin(tmp_path, hook=hook), tmp_path / "runs")
    assert {(f.seed, f.reason) for f in outcome.failures} == {(2, "the loss is nan")}
    assert outcome.ran == 2 * 3 + 2 * 5


def test_a_hanging_trial_is_stopped_and_named(tmp_path):
    file = write_coin(tmp_path, hook="seed == 2 and time.sleep(1000)", patience=5.0)
    outcome = run(file, tmp_path / "runs")
    assert {(f.arm, f.seed) for f in outcome.failures} == {("fair", 2), ("biased", 2)}
    assert "logged nothing for 5 seconds" in outcome.failures[0].reason
    assert outcome.ran == 2 * 3 + 2 * 5


def test_a_trial_that_kills_its_process_is_named(tmp_path):
    hook = "seed == 1 and __import__('os').kill(__import__('os').getpid(), 9)"
    outcome = run(write_coin(tmp_path, hook=hook), tmp_path / "runs")
    assert {f.seed for f in outcome.failures} == {1}
    assert "signal 9" in outcome.failures[0].reason


def test_workers_are_fresh_processes_with_one_thread(tmp_path):
    hook = "import os; run.show('who', f\"{os.getpid()} {os.environ['OMP_NUM_THREADS']}\")"
    file = write_coin(tmp_path, hook=hook, pause=0.02)
    run(file, tmp_path / "runs")
    results = [json.loads(f.read_text())["result"] for f in (tmp_path / "runs" / "trials").glob("*.json")]
    who = [r["shown"]["who"].split() for r in results]
    assert {threads for _, threads in who} == {"1"}
    assert len({pid for pid, _ in who}) >= 2
    assert str(os.getpid()) not in {pid for pid, _ in who}


def test_killed_in_the_middle_it_resumes_with_the_same_measurements(tmp_path):
    file = write_coin(tmp_path, pause=0.03)
    whole = run(file, tmp_path / "whole")
    command = f"from tests.lab.test_engine import *; run(Path({str(file)!r}), Path({str(tmp_path / 'cut')!r}))"
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", command], cwd=root, start_new_session=True)
    trials = tmp_path / "cut" / "trials"
    deadline = time.monotonic() + 60
    while len(list(trials.glob("*.json"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    resumed = run(file, tmp_path / "cut")
    assert 0 < resumed.ran < whole.ran
    assert resumed.ran + resumed.reused == whole.ran
    for arm in ("fair", "biased"):
        before, after = (o.measurements["toss"].values("heads", arm).tolist() for o in (whole, resumed))
        assert before == after


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(tmp_path):
    file = write_coin(tmp_path, pause=0.1)
    command = [sys.executable, "-m", "allyouneed", "run", str(file), "--jobs", "2", "--out", str(tmp_path / "runs")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "runs").glob("trials/*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "same command goes on" in errors
    assert "Traceback" not in errors
    resumed = run(file, tmp_path / "runs")
    assert resumed.reused >= 4
    assert not resumed.failures


LONG = """
from dataclasses import dataclass

import torch

from allyouneed.lab import Study
from allyouneed.objectives import Loss
from allyouneed.training import fit


@dataclass(frozen=True)
class Scale:
    max_steps: int = 400
    minutes: float = 0.01


study = Study(paper="long", scales={"laptop": Scale()})


class Noise:
    def __next__(self):
        return torch.randn(8, 4)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def spread(model, x):
    return Loss(model(x).square().sum(), len(x))


@study.trial()
def train(arm, seed, scale, run):
    torch.manual_seed(seed)
    model = torch.nn.Linear(4, 4)
    torch.manual_seed(seed)

    ran = []

    def slow(step, model):
        import time

        ran.append(step)
        time.sleep(0.01)

    fit(model, spread, Noise(), max_steps=scale.max_steps, lr=1e-3, seed=seed, log=run.log, log_every=20, dir=run.dir,
        checkpoint_seconds=0.2, after_step=[slow])
    run.show("ran", str(len(ran)))
    return {"norm": float(model.weight.norm()), "steps": len(run.rows)}
"""


def test_a_long_trial_killed_goes_on_from_its_own_checkpoint(tmp_path):
    file = tmp_path / "long_study.py"
    file.write_text(
        LONG + "\n\n@study.claim('C1', paper='-')\ndef c(m):\n    'It ends.'\n    return m.exact('norm', 99)\n"
    )
    whole = run(file, tmp_path / "whole", seeds=1)
    command = f"from tests.lab.test_engine import *; run(Path({str(file)!r}), Path({str(tmp_path / 'cut')!r}), seeds=1)"
    process = subprocess.Popen([sys.executable, "-c", command], cwd=Path(__file__).parents[2], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cut").glob("trials/.work/*/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    resumed = run(file, tmp_path / "cut", seeds=1)
    before, after = (o.measurements["train"].results[0] for o in (whole, resumed))
    assert before.measurements == after.measurements
    assert before.log == after.log
    assert before.shown["ran"] == "400"
    assert int(after.shown["ran"]) < 400


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b.replace(b"0.", b"1.", 1), lambda b: b""])
def test_a_damaged_trial_file_is_noticed_and_run_again(tmp_path, damage):
    file = write_coin(tmp_path)
    whole = run(file, tmp_path / "runs")
    victim = sorted((tmp_path / "runs" / "trials").glob("*.json"))[0]
    victim.write_bytes(damage(victim.read_bytes()))
    again = run(file, tmp_path / "runs")
    assert again.ran == 1
    assert words(again) == words(whole)


def test_seeds_added_after_a_verdict_are_said(tmp_path):
    file = write_coin(tmp_path)
    run(file, tmp_path / "runs", seeds=5)
    more = run(file, tmp_path / "runs", seeds=8)
    assert more.extended_from == 5
    assert any("extended from n=5" in note for note in more.judgements[0].evidence.notes)
    assert run(file, tmp_path / "runs", seeds=5).extended_from is None


@pytest.mark.parametrize(
    "more",
    [{"overrides": {"seeds": "8"}}, {"seeds": 8, "claims": ("C1",)}, {"seeds": 8, "overrides": {"minutes": "9"}}],
)
def test_seeds_cannot_be_added_unsaid_by_another_road(tmp_path, more):
    file = write_coin(tmp_path)
    run(file, tmp_path / "runs", seeds=5)
    assert run(file, tmp_path / "runs", **more).extended_from == 5


def test_a_claim_shown_for_the_first_time_is_not_extended(tmp_path):
    file = write_coin(tmp_path)
    run(file, tmp_path / "runs", seeds=5, claims=("C2",))
    first, second = run(file, tmp_path / "runs", seeds=8).judgements[:2]
    assert not any("extended" in note for note in first.evidence.notes)
    assert any("extended from n=5" in note for note in second.evidence.notes)


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ('return m.more("heads", "biased", than="fair")', "its function failed: ZeroDivisionError"),
        ('return m.above("heads", 0.0)', "the gate 'shows_heads' failed: ZeroDivisionError"),
    ],
)
def test_a_faulty_claim_or_gate_costs_its_claims_and_not_the_report(tmp_path, broken, word):
    file = write_coin(tmp_path)
    file.write_text(file.read_text().replace(broken, "return 1 / 0"))
    outcome = run(file, tmp_path / "runs")
    judged = next(j for j in outcome.judgements if j.id == "C1")
    assert judged.word == "not run"
    assert judged.reason.startswith(word)
    assert report.write(outcome).is_file()


def test_tuning_on_what_is_not_measured_is_said(tmp_path):
    file = write_coin(tmp_path)
    file.write_text(file.read_text().replace('"on": "cost"', '"on": "prize"'))
    with pytest.raises(UserError, match=r"tuned on 'prize'.*heads, cost, flips"):
        run(file, tmp_path / "runs")


def test_two_runs_in_one_folder_do_each_trial_once(tmp_path):
    file = write_coin(tmp_path, pause=0.05)
    code = f"from tests.lab.test_engine import *; print(run(Path({str(file)!r}), Path({str(tmp_path / 'runs')!r})).ran)"
    root = Path(__file__).parents[2]
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) for _ in range(2)]
    assert all(process.wait(timeout=120) == 0 for process in both)
    assert len(list((tmp_path / "runs" / "trials").glob("*.json"))) == 2 * 3 + 2 * 6


def test_users_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    file = write_coin(tmp_path)
    file.write_text(file.read_text().replace('{"fair": 0.5, "biased": 0.7}', '{"fair": Fair(), "biased": Biased()}'))
    blocks = "@dataclass(frozen=True)\nclass Fair:\n    bias: float = 0.5\n\n\n"
    blocks += "@dataclass(frozen=True)\nclass Biased:\n    bias: float = 0.7\n\n\ndef flip("
    file.write_text(file.read_text().replace("def flip(", blocks).replace("flip(arm, rng)", "flip(arm.bias, rng)"))
    arms = {}
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        mine = tmp_path / name / "coin.py"
        mine.write_text(
            "class Mine:\n    bias = 0.2\n\n\ndef make():\n    return Mine\n".replace("class", FROZEN + "class")
        )
        arms[name] = f"{mine}:Mine"
    first = run(file, tmp_path / "runs", arms=arms)
    mine = tmp_path / "v1" / "coin.py"
    mine.write_text(mine.read_text().replace("0.2", "0.9"))
    second = run(file, tmp_path / "runs", arms=arms)
    assert second.ran == 3 + 6
    heads = [outcome.measurements["toss"].values("heads", "v1").mean() for outcome in (first, second)]
    assert heads[0] < 0.3 < 0.8 < heads[1]


FROZEN = "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\n"


def test_a_failed_gate_leaves_every_claim_undecided(tmp_path):
    file = write_coin(tmp_path)
    file.write_text(file.read_text().replace('m.above("heads", 0.0)', 'm.above("heads", 0.6)'))
    outcome = run(file, tmp_path / "runs")
    assert words(outcome)["C1"] == "inconclusive"
    assert next(j for j in outcome.judgements if j.id == "C1").reason == "fair did not learn"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "galaxy"}, "no scale 'galaxy'.*smoke, laptop"),
        ({"overrides": {"flops": "3"}}, "no value 'flops'.*flips"),
        ({"overrides": {"flips": "many"}}, "flips=many.*like 400"),
        ({"claims": ("C9",)}, "no claim C9.*C1, C2, C3"),
        ({"grid": {"lr": "1,2"}}, "--grid lr.*tuned are pause"),
        ({"device": "abacus"}, "--device abacus"),
        ({"seeds": 0}, "--seeds 0"),
    ],
)
def test_bad_options_are_refused_by_name(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run(write_coin(tmp_path), tmp_path / "runs", **options)


def test_a_text_too_small_to_learn_from_is_refused_before_the_first_trial(tmp_path):
    (tmp_path / "small.txt").write_text("a few words\n" * 50)
    with pytest.raises(UserError, match=r"small.txt is too small: its tune split has 30 bytes"):
        run(write_coin(tmp_path), tmp_path / "runs", data=str(tmp_path / "small.txt"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Mine:\n    def __init__(self, x):\n        pass\n", "Mine cannot be made without arguments.*'x'"),
        ("class Mine:\n    pass\n", "--arm mine: Mine has no build, which all other arms have"),
        ("raise SystemExit(3)\n", "could not be imported: SystemExit"),
    ],
)
def test_a_users_arm_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "mine_arm.py").write_text(text)
    with pytest.raises(UserError, match=message):
        run_study(Options("rope", scale="smoke", out=tmp_path, arms={"mine": f"{tmp_path / 'mine_arm.py'}:Mine"}))


@pytest.mark.parametrize("name", ["queue", "torch"])
def test_a_file_named_like_a_module_neither_runs_nor_stands_in_for_it(tmp_path, name, monkeypatch):
    file = write_coin(tmp_path)
    file.rename(tmp_path / f"{name}.py")
    with pytest.raises(UserError, match="rename the file"):
        run(tmp_path / f"{name}.py", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    assert not run(write_coin(tmp_path / "elsewhere"), tmp_path / "runs").failures


def test_an_output_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot"):
        run(write_coin(tmp_path), tmp_path / "file")


def test_a_users_arm_runs_beside_the_others(tmp_path):
    file = write_coin(tmp_path)
    file.write_text(
        file.read_text()
        .replace('{"fair": 0.5, "biased": 0.7}', '{"fair": Coin(0.5), "biased": Coin(0.7)}')
        .replace("def flip(", "@dataclass(frozen=True)\nclass Coin:\n    bias: float\n\n\ndef flip(")
        .replace("flip(arm, rng)", "flip(arm.bias, rng)")
    )
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Loaded:\n    bias: float = 0.9\n"
    )
    outcome = run(file, tmp_path / "runs", arms={"mine": f"{tmp_path / 'mine.py'}:Loaded"})
    assert outcome.measurements["toss"].values("heads", "mine").mean() > 0.85
    assert {t.arm for t in outcome.tuned} == {"fair", "biased", "mine"}
    with pytest.raises(UserError, match="defines no 'Missing'"):
        run(file, tmp_path / "runs", arms={"mine": f"{tmp_path / 'mine.py'}:Missing"})


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path):
    flag = tmp_path / "full"
    hook = (
        f"seed == 3 and __import__('pathlib').Path({str(flag)!r}).exists() and "
        "setattr(__import__('os'), 'replace', no_space)"
    )
    file = write_coin(tmp_path, hook=hook, pause=0.01)
    full = "def no_space(*_):\n    raise OSError(28, 'No space left on device')\n\n\n"
    file.write_text(file.read_text().replace("def flip(", full + "def flip("))
    flag.touch()
    with pytest.raises(UserError, match="the disk is full"):
        run(file, tmp_path / "runs")
    kept = len(list((tmp_path / "runs" / "trials").glob("*.json")))
    assert kept >= 6
    flag.unlink()
    again = run(file, tmp_path / "runs")
    assert again.reused == kept
    assert not again.failures


ARTIFACTS = """
import time
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    minutes: float = 0.01


study = Study(paper="bases", scales={"laptop": Scale()})


def base(run, size):
    time.sleep(0.3)  # Long enough for the other worker to ask for it, too.
    run.log(step=1, phase="base")
    with open(MADE, "a") as file:
        file.write(f"{run.seed} ")
    (run.dir / "weights").write_text(str(run.seed * size))


@study.trial(arm=["a", "b"], shared_artifacts=SHARED)
def tune(arm, seed, scale, run):
    return {"weight": float((run.artifact(base, size=10) / "weights").read_text())}


@study.claim("C1", paper="-")
def small(m):
    "Weights stay below 100."
    return m.exact("weight", 100)
"""


def test_waiting_for_an_artifact_is_not_hanging(tmp_path):
    file = tmp_path / "bases_study.py"
    text = ARTIFACTS.replace("MADE", repr(str(tmp_path / "made"))).replace("SHARED", "True, patience=4.0")
    slow = "for _ in range(16):\n        run.log(step=_)\n        time.sleep(0.5)"
    file.write_text(text.replace("time.sleep(0.3)", slow))
    assert not run(file, tmp_path / "runs", seeds=1).failures


@pytest.mark.parametrize(("shared", "made"), [(False, ["0", "1", "2"]), (True, ["0"])])
def test_an_artifact_is_made_once_for_all_arms_that_share_it(tmp_path, shared, made):
    file = tmp_path / "bases_study.py"
    file.write_text(ARTIFACTS.replace("MADE", repr(str(tmp_path / "made"))).replace("SHARED", str(shared)))
    outcome = run(file, tmp_path / "runs", seeds=3)
    assert not outcome.failures
    assert sorted((tmp_path / "made").read_text().split()) == made
    weights = outcome.measurements["tune"].values("weight", "a").tolist()
    assert weights == ([0, 0, 0] if shared else [0, 10, 20])
    assert any("given one base" in note for note in outcome.notes) == shared


def test_a_recorded_value_that_the_grid_no_longer_has_is_searched_for_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_coin(tmp_path)
    records.record(run(file, tmp_path / "runs"), None, tmp_path / "results")
    assert {t.source for t in run(file, tmp_path / "runs").tuned} == {"recorded"}
    file.write_text(file.read_text().replace("[0.0, 0.001, 0.002]", "[0.001, 0.002]"))
    again = run(file, tmp_path / "runs")
    assert {(t.source, t.values["pause"]) for t in again.tuned} == {("searched", 0.001)}


def test_a_module_that_trials_vouch_for_may_be_moved(tmp_path):
    file = write_coin(tmp_path)
    text = file.read_text()
    text = text.replace('m.above("heads", 0.0)', 'm.above("heads", bar())')
    text = text.replace("rng.random() < bias", "rng.random() < bias + bar()")
    head, imports, rest = text.partition("import ")

    def claims_with(module, name):
        (tmp_path / f"{module}.py").write_text("def bar():\n    return 0.0\n\n\ndef other():\n    return 0.0\n")
        file.write_text(f"{head}from {module} import {name} as bar\n{imports}{rest}")
        return run(file, tmp_path / "runs").claim_digests

    before = claims_with("shared", "bar")
    assert claims_with("moved", "bar") == before
    assert claims_with("moved", "other") != before
