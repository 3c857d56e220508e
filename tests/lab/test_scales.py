"""Which entry of a study's scales a run takes, and the smaller sizes of a scale."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from allyouneed.errors import UserError
from allyouneed.lab import Study
from allyouneed.lab.engine import run_study
from allyouneed.lab.loading import load_study
from allyouneed.lab.options import Options
from allyouneed.lab.reports import records, summary
from allyouneed.lab.scales import scale_values, size_axis, size_name, smaller_sizes
from allyouneed.lab.trials.jobs import Job, Setting


@dataclass(frozen=True)
class Scale:
    d_model: int = 64
    n_layers: int = 2
    minutes: float = 1.0
    smaller: tuple[dict[str, Any], ...] = ()


study = Study(
    paper="p",
    scales={
        "smoke": Scale(8),
        "laptop": Scale(64),
        "laptop-multi30k": Scale(32),
        "laptop-multi30k:de-en": Scale(33),
        "laptop-python_code": Scale(31),
    },
)


@pytest.mark.parametrize(
    ("data", "d_model"),
    [
        (None, 64),
        ("tinyshakespeare", 64),
        ("multi30k", 32),
        ("multi30k:fr-en", 32),
        ("multi30k:de-en", 33),
        ("python-code", 31),
        ("./multi30k", 64),
    ],
)
def test_a_scale_may_be_another_on_other_data(data, d_model):
    assert study.scale("laptop", data=data).d_model == d_model
    assert study.scale("smoke", data=data).d_model == 8


@pytest.mark.parametrize(
    ("data", "d_model"),
    [
        (None, 64),
        ("number-words", 64),
        ("number_words:en-fr", 64),
        ("multi30k:fr-en", 32),
        ("date_words", 16),
        ("./mine.tsv", 16),
    ],
)
def test_a_star_stands_for_data_that_are_neither_the_studys_own_nor_named(data, d_model):
    scales = {"smoke": Scale(8), "laptop": Scale(64), "laptop-multi30k": Scale(32), "laptop-*": Scale(16)}
    starred = Study(paper="p", scales=scales, data="number_words")
    assert starred.scale("laptop", data=data).d_model == d_model
    assert starred.scale("smoke", data=data).d_model == 8
    with pytest.raises(UserError, match=r"no scale 'laptop-\*'; it has smoke, laptop$"):
        starred.scale("laptop-*")


def test_what_stands_in_for_a_scale_is_none_itself():
    with pytest.raises(UserError, match=r"no scale 'laptop-multi30k'; it has smoke, laptop$"):
        study.scale("laptop-multi30k")


def test_values_that_are_set_go_into_the_scale_of_the_data():
    assert study.scale("laptop", {"n_layers": "5"}, "multi30k") == Scale(32, n_layers=5)


SIZED = Scale(64, 2, smaller=({"d_model": 16, "n_layers": 1}, {"d_model": 32}))


def test_smaller_sizes_are_scales_of_their_own():
    assert smaller_sizes(SIZED) == [Scale(16, 1), Scale(32, 2)]
    assert size_axis(SIZED) == ["d_model", "n_layers"]
    assert [size_name(size, size_axis(SIZED)) for size in (*smaller_sizes(SIZED), SIZED)] == ["16/1", "32/2", "64/2"]
    assert scale_values(SIZED) == scale_values(Scale(64, 2))
    assert smaller_sizes(Scale()) == size_axis(Scale()) == []


@pytest.mark.parametrize("changes", [{"width": 3}, {"minutes": 3}, {}])
def test_a_smaller_size_that_changes_nothing_is_refused(changes):
    with pytest.raises(ValueError, match=r"changes some of d_model, n_layers; got"):
        Study(paper="p", scales={"laptop": Scale(smaller=(changes,))})


def test_sizes_cannot_be_set_from_a_command():
    with pytest.raises(UserError, match="no value 'smaller'"):
        study.scale("laptop", {"smaller": "8"})


STUDY = """
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    size: int
    minutes: float = 0.01


study = Study(paper="sized", scales={"laptop": Scale(7), "laptop-NAME": Scale(3)}, data="python_code")


@study.trial()
def read(arm, seed, scale, run):
    return {"size": scale.size}


@study.claim("C1", paper="-")
def small(m):
    "It is small."
    return m.exact("size", 9)
"""


@pytest.mark.parametrize("entry", ["DATA", "*"])
def test_trials_run_at_the_scale_of_the_data_that_the_user_names(tmp_path: Path, entry):
    (tmp_path / "mine.txt").write_text("".join(f"line {i} of a text\n" for i in range(2000)))
    data = str(tmp_path / "mine.txt")
    file = tmp_path / "sized_study.py"
    file.write_text(STUDY.replace("NAME", entry.replace("DATA", data)))
    own, other = (run_study(Options(str(file), seeds=1, jobs=1, out=tmp_path / "runs", data=d)) for d in (None, data))
    assert [o.measurements["read"].values("size", "run").tolist() for o in (own, other)] == [[7.0], [3.0]]
    assert (other.scale_name, other.scale.size) == ("laptop", 3)

    recorded = records.Record(records.record(other, None, tmp_path / "results"), {})
    record = records.Record(recorded.file, json.loads(recorded.file.read_text()))
    assert record.file.name.startswith("laptop-")
    assert record.where == f"at laptop scale, on {data}"
    assert records.status(record) == "current"


CHOOSY = """
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    steps: int
    claims: tuple = ()
    minutes: float = 0.01
    smaller: tuple = ()


study = Study(paper="choosy", scales={"laptop": Scale(9, ("C1",))})


@study.trial(arm={"far": 2.0}, tune={"lr": [1.0, 5.0], "on": "loss", "at": {"steps": 3}})
def walk(arm, seed, scale, run, lr):
    return {"loss": abs(lr * scale.steps - 15 * arm / 2), "steps": scale.steps}


@study.trial()
def never(arm, seed, scale, run):
    raise RuntimeError("asked for by no claim of this scale")


@study.claim("C1", paper="-")
def far_enough(m):
    "It takes nine steps."
    return m.effect(lambda u: u["far"]["steps"] - 9, unit="exact").within(0.5)


@study.claim("C2", paper="-", trial=never)
def elsewhere(m):
    "It is judged elsewhere."
    return m.exact("size", 9)
"""


def choosy(tmp_path: Path, **options) -> Any:
    file = tmp_path / "choosy_study.py"
    file.write_text(CHOOSY)
    return run_study(Options(str(file), seeds=2, jobs=1, out=tmp_path / "runs", **options))


def test_a_scale_may_leave_claims_out_unless_they_are_asked_for(tmp_path: Path):
    outcome = choosy(tmp_path)
    assert {j.id: j.word for j in outcome.judgements} == {"C1": "holds", "C2": "not run"}
    assert "not judged at this scale" in outcome.judgements[1].reason
    assert not outcome.failures
    assert (outcome.elsewhere, summary.headline(outcome)) == (["C2"], "choosy at laptop scale: 1 holds")
    asked = choosy(tmp_path, claims=("C2",))
    assert asked.claim_digests["C2"] == outcome.claim_digests["C2"]
    assert [f.trial for f in asked.failures] == ["never", "never"]


def test_tries_may_be_shorter_than_the_trials_that_they_tune(tmp_path: Path):
    """With 3 steps the rate 5 ends at the goal; with the 9 of the trials themselves 1 would come nearer."""
    outcome = choosy(tmp_path)
    assert [t.values for t in outcome.tuned] == [{"lr": 5.0}]
    assert outcome.measurements["walk"].values("loss", "far").tolist() == [30.0, 30.0]
    longer = choosy(tmp_path, overrides={"steps": "4"})
    assert longer.measurements["walk"].values("steps", "far").tolist() == [4.0, 4.0]


def test_what_the_user_sets_goes_before_the_values_of_tries(tmp_path: Path):
    """With 3 steps the rate 5 would win, with 12 the rate 1 does: |12 - 15| is less than |60 - 15|."""
    outcome = choosy(tmp_path, overrides={"steps": "12"})
    assert [t.values for t in outcome.tuned] == [{"lr": 1.0}]


def test_the_values_of_tries_go_before_those_of_a_smaller_size(tmp_path: Path):
    file = tmp_path / "choosy_study.py"
    file.write_text(CHOOSY)
    study = load_study(str(file))
    study.scales["laptop"] = replace(study.scales["laptop"], smaller=({"steps": 7},))
    setting = Setting(str(file), "laptop", {}, {}, None, "cpu", "runs", smaller=0)
    assert setting.scale_of(study).steps == 7
    assert replace(setting, tries_of="walk").scale_of(study).steps == 3
    assert Job.from_json(Job(replace(setting, tries_of="walk"), "walk", "far", 0, "", {}).to_json()).setting.tries_of


def test_tries_at_what_the_scale_has_not_got_are_refused_when_the_trial_is_declared():
    sized = Study(paper="p", scales={"laptop": Scale()})
    for name in ("d_modell", "minutes"):
        with pytest.raises(ValueError, match=f"'walk' are at another '{name}', which scale 'laptop' has not got"):

            @sized.trial(tune={"lr": [1.0], "on": "loss", "at": {name: 3}})
            def walk(arm, seed, scale, run, lr):
                return {}
