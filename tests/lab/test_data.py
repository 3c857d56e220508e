"""Which data a study takes, and that its trials, a saved run and a record open the same ones."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from allyouneed.data import open_data
from allyouneed.errors import UserError
from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options
from allyouneed.lab.reports import records, saved, summary

from .studies import write_coin

STUDY = '''
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    minutes: float = 0.01
    seeds: int = 2


study = Study(paper="pairs", data="number_words", scales={"smoke": Scale()})


@study.trial(arm=["source", "target"])
def measure(arm, seed, scale, run):
    side = 0 if arm == "source" else 1
    return {"letters": seed + sum(len(pair[side]) for pair in run.data.train), "pairs": len(run.data.train)}


@study.claim("C1", paper="")
def longer(m):
    """Targets are longer."""
    return m.more("letters", "target", than="source", unit="exact")
'''


@pytest.fixture
def study(tmp_path):
    (tmp_path / "pairs_study.py").write_text(STUDY)
    return str(tmp_path / "pairs_study.py")


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.tsv").write_text("".join(f"word {i}\tein Wort {i}\n" for i in range(2000)))
    return str(tmp_path / "mine.tsv")


def run(study, tmp_path, data):
    return run_study(Options(study, scale="smoke", data=data, out=tmp_path / "runs", jobs=1))


def test_a_translation_study_runs_on_a_users_pairs_and_its_run_opens_again(study, mine, tmp_path):
    outcome = run(study, tmp_path, mine)
    data = open_data(mine, "pairs")
    assert outcome.failures == []
    assert outcome.data == (mine, data.version)
    measured = outcome.measurements["measure"].results
    assert {result.measurements["pairs"] for result in measured} == {len(data.train)}
    saved.write(outcome)
    assert saved.read(outcome.folder).measurements["measure"].data.test == data.test


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("python_code", "python_code is running text, and this needs sentence pairs: number_words"),
        ("number_words:en", "expected number_words:SOURCE-TARGET"),
        ("small.tsv", r"small\.tsv is too small: its tune split has \d+ pairs, 64 are needed"),
        ("text.txt", r"text\.txt:1: expected source<TAB>target"),
    ],
)
def test_a_translation_study_refuses_other_data_before_its_first_trial(study, tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.tsv").write_text("".join(f"word {i}\tWort {i}\n" for i in range(200)))
    (tmp_path / "text.txt").write_text("no pairs\n" * 100)
    with pytest.raises(UserError, match=message):
        run(study, tmp_path, name)


def test_a_text_study_refuses_pairs(tmp_path):
    file = write_coin(tmp_path)
    file.write_text(file.read_text().replace('paper="coin",', 'paper="coin", data="python_code",'))
    with pytest.raises(UserError, match="multi30k is sentence pairs, and this needs running text: python_code"):
        run(str(file), tmp_path, "multi30k")


def test_a_record_is_held_against_the_pairs_that_are_here(mine, tmp_path):
    pytest.importorskip("babel")

    def version_here(name, own="number_words"):
        values = {"data": {"name": name, "version": "recorded", "default": True}}
        study = SimpleNamespace(data=own, kind=None, scales={})
        return records._data_version_here(records.Record(None, values), study)

    assert version_here("date_words:de-en") == open_data("date_words:de-en", "pairs").version
    assert version_here("multi30k:de-en") == "recorded"  # pinned, and perhaps not fetched yet
    assert version_here(mine) == open_data(mine, "pairs").version
    assert version_here(mine, own="python_code") == open_data(mine, "text").version != version_here(mine)
    with pytest.raises(UserError, match="gone"):
        version_here(str(tmp_path / "gone.tsv"))


def test_a_record_whose_data_need_an_extra_is_not_comparable_here(monkeypatch):
    monkeypatch.setitem(sys.modules, "num2words", None)
    data = {"name": "number_words", "version": "", "default": True}
    record = records.Record(None, {"reference": "pairs", "scale_name": "smoke", "data": data})
    study = SimpleNamespace(scale=lambda name, data: Empty(), trials={}, data="number_words", kind=None, scales={})
    monkeypatch.setattr("allyouneed.lab.loading.load_study", lambda name: study)
    assert records.status(record) == (
        "not comparable: this needs num2words, which is not installed: pip install 'allyouneed[translation]'"
    )


@dataclass
class Empty:
    """A scale without values."""


INPUTS = '''
from dataclasses import dataclass
from allyouneed.lab import Study

@dataclass(frozen=True)
class Scale:
    minutes: float = 1.0

study = Study(paper="inputs", scales={"smoke": Scale()}, inputs={"model": "a folder with a checkpoint"})

@study.trial()
def count(arm, seed, scale, run):
    given = run.inputs.get("model")
    return {"noise": seed, "files": len(list(given.iterdir())) if given else 0}

@study.claim("C1", paper="none")
def some(m):
    """There are files."""
    return m.effect(lambda u: u["run"]["files"]).above(0.5)
'''


def test_a_trial_gets_what_the_user_gave_and_depends_on_its_content(tmp_path):
    file, folder = tmp_path / "study.py", tmp_path / "mine"
    file.write_text(INPUTS)
    folder.mkdir()

    def files(**inputs):
        outcome = run_study(Options(str(file), scale="smoke", out=tmp_path / "runs", jobs=1, inputs=inputs))
        return [r.measurements["files"] for r in outcome.measurements["count"].results], outcome

    assert files()[0] == [0, 0]
    (folder / "a").write_text("a")
    counted, outcome = files(model=str(folder))
    assert counted == [1, 1]
    assert f"--model {folder}" in summary.command(outcome)
    saved.write(outcome)
    assert saved.read(outcome.folder).inputs == {"model": str(folder)}
    assert files(model=str(folder))[1].reused == 2
    (folder / "a").write_text("b")  # the same names, another content
    assert files(model=str(folder))[1].ran == 2


def test_an_input_that_the_study_does_not_take_or_that_is_not_there_is_named(tmp_path):
    file = tmp_path / "study.py"
    file.write_text(INPUTS)
    for inputs, message in (
        ({"queries": str(file)}, "inputs takes no --queries; it takes --model"),
        ({"model": "/no/such"}, "--model /no/such: no such file or folder; inputs wants a folder with a checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            run_study(Options(str(file), scale="smoke", out=tmp_path / "runs", inputs=inputs))


def test_a_name_with_a_scale_of_its_own_may_be_data_of_another_kind(tmp_path):
    text = write_coin(tmp_path).read_text().replace('paper="coin",', 'paper="coin", data="python_code",')
    assert '"smoke":' in text
    file = tmp_path / "coin.py"
    file.write_text(text + '\nstudy.scales["smoke-date-words"] = study.scales["smoke"]\n')
    outcome = run_study(Options(str(file), scale="smoke", data="date_words", out=tmp_path / "runs", jobs=1))
    assert outcome.data[0] == "date_words"
