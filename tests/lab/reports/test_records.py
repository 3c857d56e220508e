"""Records: what is kept, what is read back, and when it no longer counts."""

import json
from dataclasses import replace

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.judging.claims import ELSEWHERE
from allyouneed.lab.reports import records
from allyouneed.lab.reports.records import Now, Record

from ..outcomes import make_outcome, study

BEHAVIOUR = {"train/rope": {"measurements": {"test_loss": 5.0, "odd": float("nan")}, "log": [{"step": 1, "loss": 5.5}]}}


@pytest.fixture
def outcome(tmp_path):
    return make_outcome(tmp_path / "run")


@pytest.fixture
def record(outcome, tmp_path) -> Record:
    records.record(outcome, BEHAVIOUR, tmp_path / "results")
    return records.read_records([tmp_path / "results"])[0]


def now(record: Record, **changes) -> Now:
    """The present as it was when recorded, but for the changes."""
    v = record.values
    same = Now(
        scale=v["scale"],
        data=v["data"]["version"] if v["data"] else None,
        cpu=v["machine"]["cpu"],
        packages=v["packages"],
        digests=v["digests"],
        claim_digests=v["claim_digests"],
        fingerprint=lambda: BEHAVIOUR,
    )
    return replace(same, **changes)


def test_a_record_holds_every_measurement_a_claim_uses_for_each_seed(record, outcome):
    for judgement in outcome.judgements:
        for arm, name in judgement.evidence.uses if judgement.evidence else ():
            kept = [r["measurements"][name] for r in record.values["results"] if r["arm"] == arm]
            assert kept == outcome.measurements["train"].values(name, arm).tolist()
    assert record.judgements == outcome.judgements
    assert record.values["packages"]["torch"] == "2.13.0"


def test_the_reports_figures_lie_beside_the_record(outcome, tmp_path):
    for name in study.figures:
        (outcome.folder / f"{name}.png").write_bytes(b"light")
        (outcome.folder / f"{name}-dark.png").write_bytes(b"dark")
    file = records.record(outcome, None, tmp_path / "results")
    figures = {file.name: file.read_bytes() for file in file.parent.glob("*.png")}
    assert figures == {f"laptop-{name}.png": b"light" for name in study.figures}


def test_other_data_have_a_file_of_their_own(outcome, tmp_path):
    roots = [tmp_path / "results"]
    records.record(outcome, None, *roots)
    file = records.record(replace(outcome, data=("./my texts/", "ff")), None, *roots)
    assert file.name == "laptop-my-texts.json"
    assert [r.where for r in records.read_records(roots)] == ["at laptop scale", "at laptop scale, on ./my texts/"]
    assert records.recorded_tuning("rope", "laptop", "./my texts/", roots) is not None
    assert records.recorded_tuning("rope", "laptop", "english_prose", roots) is None


def test_tuned_values_are_read_back(record, tmp_path):
    tuned = records.recorded_tuning("rope", "laptop", None, [tmp_path / "results"])
    assert tuned == {"train": {"sinusoidal": {"lr": 3e-3}, "learned": {"lr": 3e-3}, "rope": {"lr": 1e-2}}}
    assert records.recorded_tuning("rope", "gpu", None, [tmp_path / "results"]) is None


def test_a_changed_scale_cannot_be_recorded(outcome, tmp_path):
    with pytest.raises(UserError, match="leave out --set"):
        records.record(replace(outcome, overrides={"max_steps": "3"}), None, tmp_path)


def test_what_is_no_record_is_passed_over(record, tmp_path):
    other = tmp_path / "results" / "other"
    other.mkdir()
    (other / "laptop.json").write_text('{"format": 1, "jud')
    (other / "metrics.json").write_text('{"accuracy": 1}')
    (other / "list.json").write_text("[1]")
    assert [r.paper for r in records.read_records([tmp_path / "results"])] == ["rope"]


def test_the_users_own_record_goes_before_the_projects(record, tmp_path):
    theirs = tmp_path / "theirs" / "rope" / "laptop.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text(record.file.read_text())
    assert [r.file for r in records.read_records([tmp_path / "theirs", tmp_path / "results"])] == [theirs]


def test_records_come_laptop_first(record, tmp_path):
    for scale in ("gpu", "smoke"):
        values = record.values | {"scale_name": scale}
        record.file.with_name(f"{scale}.json").write_text(json.dumps(values))
    assert [r.scale for r in records.read_records([tmp_path / "results"])] == ["laptop", "gpu", "smoke"]


def test_same_sources_are_current_whatever_the_behaviour(record):
    unasked = {"fingerprint": lambda: pytest.fail("nobody asked")}
    assert records.status_against(record, now(record, **unasked)) == "current"


def test_a_refactoring_that_leaves_the_numbers_alone_keeps_the_record(record):
    assert records.status_against(record, now(record, digests={"train": "moved"})) == "current"


def test_other_numbers_make_it_stale(record):
    moved = {"train/rope": BEHAVIOUR["train/rope"] | {"log": [{"step": 1, "loss": 5.5001}]}}
    changed = now(record, digests={"train": "moved"}, fingerprint=lambda: moved)
    assert records.status_against(record, changed).startswith("stale: train/rope/log[0]/loss")


def test_other_numbers_on_another_processor_are_not_comparable(record):
    moved = {"train/rope": BEHAVIOUR["train/rope"] | {"log": [{"step": 1, "loss": 5.5001}]}}
    there = now(record, cpu="an abacus", digests={"train": "moved"}, fingerprint=lambda: moved)
    assert records.status_against(record, there).startswith("not comparable: its sources changed")


def test_another_text_is_not_comparable(record):
    assert records.status_against(record, now(record, data="other")).startswith("not comparable: the text of")


def test_other_sources_without_a_recorded_behaviour_make_it_stale(record):
    bare = replace(record, values=record.values | {"fingerprint": None})
    assert records.status_against(bare, now(record, digests={"train": "moved"})).startswith("stale")


def test_another_torch_is_not_comparable_but_another_build_of_it_is(record):
    there = now(record, packages={"torch": "2.11.0", "numpy": "2.2.1"}, digests={"train": "moved"})
    assert records.status_against(record, there) == "not comparable: recorded with torch 2.13.0, here is 2.11.0"
    build = now(record, packages={"torch": "2.13.0+cpu", "numpy": "2.2.1"})
    assert records.status_against(record, build) == "current"


@pytest.mark.parametrize("digests", [{"C1": "another"}, {"C9": "new"}], ids=["changed", "new"])
def test_a_claim_changed_after_the_run_shows(record, digests):
    changed = now(record, claim_digests=record.values["claim_digests"] | digests)
    assert records.status_against(record, changed).startswith(f"claim changed: {next(iter(digests))}")


def test_a_scale_changed_after_the_run_shows(record):
    changed = now(record, scale=record.values["scale"] | {"max_steps": 900})
    assert records.status_against(record, changed).startswith("stale: the scale laptop has another max_steps")


@pytest.mark.parametrize(("name", "old", "new"), [("claims", ["C1", "C2"], ["C1"]), ("smaller", [], [{"d_model": 32}])])
def test_a_scale_that_judges_something_else_shows_unless_the_record_is_too_old_to_say(record, name, old, new):
    here = now(record, scale=record.values["scale"] | {name: new})
    assert records.status_against(record, here) == "current"
    listing = replace(record, values=record.values | {"scale": record.values["scale"] | {name: old}})
    assert records.status_against(listing, here) == f"stale: the scale laptop has another {name} than was recorded"
    same = now(record, scale=record.values["scale"] | {name: old[::-1]})
    assert records.status_against(listing, same) == "current"


def test_minutes_may_change(record):
    del record.values["scale"]["minutes"]
    assert records.status_against(record, now(record)) == "current"


def test_lists_of_numbers_take_one_line_and_texts_stay_as_they_are():
    values = {"a": [1.5, 2], "text": "[ 1,\n 2 ]", "rows": [{"b": [3, 4]}], "none": []}
    text = records.numbers_on_one_line(json.dumps(values, indent=1))
    assert json.loads(text) == values
    assert '"a": [1.5, 2]' in text


def test_a_claim_that_the_record_left_to_other_data_may_change(record):
    left, *others = record.values["judgements"]
    left = left | {"word": "not run", "reason": ELSEWHERE, "evidence": None}
    elsewhere = replace(record, values=record.values | {"judgements": [left, *others]})
    changed = now(record, claim_digests=record.values["claim_digests"] | {left["id"]: "another"})
    assert records.status_against(record, changed).startswith(f"claim changed: {left['id']}")
    assert records.status_against(elsewhere, changed) == "current"
