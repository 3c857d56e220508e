"""A refactoring keeps a record, a change of behaviour does not: on a real study that trains."""

import pytest

from allyouneed.lab.engine import run_study
from allyouneed.lab.fingerprint import brief, compare, fingerprint
from allyouneed.lab.options import Options
from allyouneed.lab.reports import records, report

LINE = '''
"""Fits a line."""

from dataclasses import dataclass

import torch

from allyouneed.lab import Study
from allyouneed.objectives import Loss
from allyouneed.training import fit


@dataclass(frozen=True)
class Scale:
    max_steps: int
    minutes: float = 0.01
    seeds: int = 5


study = Study(paper="line", scales={"smoke": Scale(20), "laptop": Scale(40)})


class Points:
    def __iter__(self):
        return self

    def __next__(self):
        x = torch.rand(32, 2)
        return x, x.sum(1, keepdim=True)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def squares(model, batch):
    error = model(batch[0]) - batch[1]
    return Loss(error.square().sum(), error.numel())


@study.trial(arm={"biased": True, "plain": False})
def train(arm, seed, scale, run):
    model = torch.nn.Linear(2, 1, bias=arm)
    fit(model, squares, Points(), max_steps=scale.max_steps, lr=1e-2, weight_decay=0.1, seed=seed, log=run.log)
    with torch.no_grad():
        return {"error": squares(model, next(Points())).mean}


@study.gate(baseline="predicting nothing")
def learned(m):
    return m.below("error", 10.0)


@study.claim("C1", paper="a made-up table")
def bias_helps(m):
    """A line with a bias has a lower error."""
    return m.less("error", "biased", than="plain")


@study.figure
def losses(m):
    """Loss."""
    return m.curves("loss", x="step", y="loss")
'''

REFACTORED = {"squares(model, batch)": "squares(net, pair)", "model(batch[0]) - batch[1]": "net(pair[0]) - pair[1]"}


@pytest.fixture
def recorded(tmp_path):
    file = tmp_path / "line_study.py"
    file.write_text(LINE)
    outcome = run_study(Options(str(file), out=tmp_path / "runs", jobs=2))
    report.write(outcome)
    records.record(outcome, fingerprint(str(file)), tmp_path / "results")
    (record,) = records.read_records([tmp_path / "results"])
    return file, record


def edit(file, changes):
    text = file.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def test_a_record_follows_what_happens_to_its_sources(recorded):
    file, record = recorded
    assert records.status(record) == "current"
    edit(file, REFACTORED)
    assert records.status(record) == "current"
    edit(file, {"weight_decay=0.1": "weight_decay=0.12"})
    assert records.status(record).startswith("stale: train/biased")
    edit(file, {"weight_decay=0.12": "weight_decay=0.1", 'than="plain")': 'than="plain", by=0.001)'})
    assert records.status(record).startswith("claim changed: C1")


def test_numbers_are_compared_to_one_part_in_a_million():
    old = {"t/a": {"measurements": {"x": 1.0, "v": [2.0, float("nan")]}, "log": [{"step": 1, "loss": 3.0}]}}
    near = {"t/a": {"measurements": {"x": 1.0 + 5e-7, "v": [2.0, float("nan")]}, "log": [{"step": 1, "loss": 3.0}]}}
    far = {"t/a": {"measurements": {"x": 1.0 + 2e-6, "v": [2.0, float("nan")]}, "log": [{"step": 1, "loss": 3.0}]}}
    assert compare(old, near) == "same"
    assert compare(old, far).startswith("moved: t/a/measurements/x")
    assert compare(old, {}).startswith("moved: not in both: t/a")


def test_long_lists_are_kept_in_brief_and_still_compared():
    values = [float(i % 7) for i in range(1000)]
    other = [values[-1], *values[1:-1], values[0]]
    behaviour = {"t/a": {"measurements": {"right": values}, "log": []}}
    assert len(str(brief(behaviour))) < 200
    assert compare(behaviour, brief(behaviour)) == "same"
    assert compare(behaviour, {"t/a": {"measurements": {"right": other}, "log": []}}).startswith("moved: t/a")
