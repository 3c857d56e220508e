"""How a paper's pages open: the count comes from the record, the sentence from the notes."""

from dataclasses import replace

import pytest

from allyouneed.lab import papers
from allyouneed.lab.reports import answer, reading, records, report

from ..outcomes import make_outcome

NOTES = replace(papers.find("rope"), answer="Nearby, yes.")
MEASURED = "Measured: 1 of 3 claims hold at laptop scale, 1 contradicted, 1 inconclusive, 1 not run."


@pytest.fixture
def recorded(tmp_path):
    records.record(make_outcome(tmp_path / "run"), None, tmp_path / "results")
    return records.read_records([tmp_path / "results"])


def test_the_claims_that_were_run_are_counted_from_the_record(recorded):
    assert answer.answer(NOTES, recorded) == f"{MEASURED} Nearby, yes."
    for judgement in recorded[0].values["judgements"]:
        judgement["word"] = "holds"
    assert answer.answer(NOTES, recorded) == "Measured: 4 of 4 claims hold at laptop scale. Nearby, yes."


def test_each_scale_is_counted_by_itself(recorded):
    gpu = records.Record(recorded[0].file, recorded[0].values | {"scale_name": "gpu"})
    said = answer.answer(NOTES, [*recorded, gpu])
    assert "1 of 3 claims hold at laptop scale, " in said
    assert "1 not run; 1 of 3 claims hold at gpu scale, " in said


@pytest.mark.parametrize(
    "other", [{"scale_name": "smoke"}, {"paper": "alibi"}, {"data": {"name": "mine", "version": "1", "default": False}}]
)
def test_nothing_but_the_papers_own_records_answers(recorded, other):
    elsewhere = records.Record(recorded[0].file, recorded[0].values | other)
    assert answer.answer(NOTES, [elsewhere]) == ""
    assert answer.markdown(NOTES, [elsewhere]).endswith("\n\nNot measured yet.")


def test_every_page_opens_with_the_sentence_and_its_answer(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "read_records", lambda: recorded)
    sentence = "“A rotation of queries and keys is all you need.”"
    pages = [reading.render(papers.find("rope")), report.render(make_outcome(tmp_path / "again"), [], "command")]
    for page in pages:
        assert page.index(sentence) < page.index(MEASURED) < page.index("Su, Yu Lu")
        assert page.count(MEASURED) == 1
    assert answer.markdown(papers.find("rope"), recorded).startswith(f"**{sentence}**\n\n{MEASURED}")


def test_a_page_without_a_record_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "read_records", list)
    assert "Not measured yet." in reading.render(NOTES)
    page = report.render(make_outcome(tmp_path / "run"), [], "command")
    assert "Measured:" not in page
    assert "This run" not in page  # there is nothing to tell it from
