"""Recorded replications: appended, tied to their record, and short on the scoreboard."""

import json
from dataclasses import replace

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.judging.claims import Judgement
from allyouneed.lab.judging.replication import compare
from allyouneed.lab.reports import records, replications, scoreboard
from allyouneed.lab.reports.records import Record

from ..outcomes import make_outcome


@pytest.fixture
def outcome(tmp_path):
    return make_outcome(tmp_path / "run")


@pytest.fixture
def record(outcome, tmp_path) -> Record:
    records.record(outcome, None, tmp_path / "results")
    return records.read_records([tmp_path / "results"])[0]


@pytest.fixture
def add(record, outcome):
    """Record a replication with these seeds; `changed` are judgements in place of those that came out as recorded."""

    def add(*seeds, **changed):
        new = {j.id: changed.get(j.id, j) for j in outcome.judgements}
        comparisons = [compare(old, new[old.id]) for old in record.judgements]
        return replications.write(record, "current", replace(outcome, seeds=list(seeds)), comparisons)

    return add


def test_a_replication_lies_beside_its_record_and_the_newest_is_last(record, add):
    file = add(5, 6, 7, 8, 9)
    assert file == record.file.parent / "replications" / "laptop.json"
    assert add(10, 11) == file
    found = replications.read(record)
    assert [replication["seeds"] for replication in found] == [[5, 6, 7, 8, 9], [10, 11]]
    assert found[0]["of"]["recorded"] == record.values["recorded"]
    assert found[0]["of"]["commit"] == record.values["commit"]["hash"]
    assert {"replicated", "commit", "machine", "packages", "tuned", "core_minutes"} <= found[0].keys()


def test_every_number_of_every_claim_is_kept(record, add, outcome):
    add(5, 6)
    kept = replications.read(record)[0]["claims"]
    assert [claim["id"] for claim in kept] == ["C1", "C2", "C3", "C4"]
    assert Judgement.from_dict(kept[0]["new"]) == outcome.judgements[0]
    assert kept[0]["pooled"]["n"] == 10


def test_what_replicated_an_earlier_record_is_no_longer_shown(record, add, tmp_path):
    add(5, 6)
    longer = make_outcome(tmp_path / "run", n_seeds=8)
    records.record(longer, None, tmp_path / "results")
    (newer,) = records.read_records([tmp_path / "results"])
    assert replications.read(newer) == []
    assert "replicated" not in scoreboard.markdown([newer])


@pytest.mark.parametrize("name", ["claim_digests", "digests", "tuned"])
def test_what_replicated_other_claims_trials_or_tuned_values_is_no_longer_shown(record, add, name):
    add(5, 6)
    changed = [] if name == "tuned" else {**record.values[name], "C1": "changed"}
    assert replications.read(Record(record.file, record.values | {name: changed})) == []


def test_replications_are_no_records(record, add, tmp_path):
    add(5, 6)
    assert [r.file for r in records.read_records([tmp_path / "results"])] == [record.file]


def test_the_board_says_each_outcome_and_hides_none(record, add):
    add(5, 6, 7, 8, 9)
    assert scoreboard.rows(record)[0].verdict == "holds at laptop scale; replicated: stands (5 new seeds)"
    evidence = record.judgements[0].evidence
    far = replace(evidence, estimate=9.0, values=tuple(value + 9 for value in evidence.values))
    add(10, 11, C1=replace(record.judgements[0], evidence=far))
    assert scoreboard.rows(record)[0].verdict == (
        "holds at laptop scale; replicated: stands (5 new seeds); replicated: does not stand (5 new seeds)"
    )
    assert "replicated: does not stand" in scoreboard.markdown([record])


def test_a_claim_that_was_not_run_has_nothing_to_replicate(record, add):
    add(5, 6)
    assert scoreboard.rows(record)[3].verdict == "not run: the corpus may not be shared"


@pytest.mark.parametrize(
    ("unit", "n", "said"),
    [
        ("exact", 2400, "2400 new draws"),
        ("rounds", 7, "7 new rounds"),
        ("items", 300, "a new seed"),
        ("seeds", 1, "1 new seed"),
    ],
)
def test_what_is_new_is_counted_in_its_own_unit(record, unit, n, said):
    evidence = replace(record.judgements[0].evidence, unit=unit, n=n)
    assert replications._how_many(evidence, 6) == said


def test_a_claim_without_numbers_is_counted_in_seeds(record, add):
    add(5, 6, 7, C1=Judgement("C1", "-", "-", "not run", "rope, seed 6 failed"))
    assert replications.short(record)["C1"] == ["replicated: not comparable (3 new seeds)"]


@pytest.mark.parametrize("name", ["of", "claims", "seeds", "replicated"])
def test_a_replication_of_which_a_part_is_missing_is_damaged(record, add, name):
    file = add(5, 6)
    values = json.loads(file.read_text())
    del values[0][name]
    file.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"replications/laptop.json is damaged"):
        scoreboard.rows(record)


@pytest.mark.parametrize("text", ["[{]", "{}x", '{"a": 1}', "[1]", '[{"seeds": []}]'])
def test_a_damaged_file_is_named_and_not_written_over(record, add, text):
    file = add(5, 6)
    file.write_text(text)
    for act in (lambda: replications.read(record), lambda: add(7, 8)):
        with pytest.raises(UserError, match=r"replications/laptop.json is damaged"):
            act()
    assert file.read_text() == text


def test_an_installed_record_is_replicated_into_the_users_results(record, add, tmp_path, monkeypatch):
    monkeypatch.setattr(replications, "PACKAGE", tmp_path / "results")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert add(5, 6) == tmp_path / "here" / "results" / "rope" / "replications" / "laptop.json"
    assert len(replications.read(record)) == 1


def test_the_file_is_strict_json(record, add):
    json.loads(add(5, 6).read_text(), parse_constant=lambda name: pytest.fail(name))
