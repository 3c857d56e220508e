"""The scoreboard: generated from records, and told when it is not current."""

import copy

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.judging import claims
from allyouneed.lab.reports import records, scoreboard

from ..outcomes import make_outcome

README = "# Title\n\n<!-- scoreboard:start -->\nan earlier table\n<!-- scoreboard:end -->\n\nThe rest.\n"


@pytest.fixture
def recorded(tmp_path):
    records.record(make_outcome(tmp_path / "run"), None, tmp_path / "results")
    return records.read_records([tmp_path / "results"])


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(README)
    return file


def test_a_verdict_never_stands_without_its_scale(recorded):
    verdicts = [row.verdict for row in scoreboard.rows(recorded[0])]
    assert verdicts[0] == "holds at laptop scale"
    assert verdicts[3] == "not run: the corpus may not be shared"
    for line in scoreboard.markdown(recorded).splitlines()[2:]:
        assert "at laptop scale" in line or "not run" in line


def test_the_table_is_one_row_a_claim_with_interval_and_n(recorded):
    lines = scoreboard.markdown(recorded).splitlines()
    assert len(lines) == 2 + len(recorded[0].judgements)
    assert str(recorded[0].judgements[0].evidence) in lines[2]
    assert "5 seeds" in lines[2]
    assert len({line.count("|") for line in lines}) == 1


def test_text_cannot_break_the_table(recorded):
    recorded[0].values["judgements"][0]["statement"] = "a | b\n<script>"
    line = scoreboard.markdown(recorded).splitlines()[2]
    assert "a \\| b &lt;script>" in line


def test_smoke_runs_are_not_on_the_board(recorded):
    recorded[0].values["scale_name"] = "smoke"
    assert scoreboard.markdown(recorded) == "No verdict is recorded yet."


def test_what_a_record_leaves_to_another_stands_only_there(recorded):
    here, elsewhere = recorded[0], records.Record(recorded[0].file, copy.deepcopy(recorded[0].values))
    elsewhere.values["data"] = {"name": "other", "version": "", "default": False}
    first, *others = elsewhere.values["judgements"]
    first |= {"word": "not run", "reason": claims.ELSEWHERE, "evidence": None}
    for judgement in others:
        judgement["statement"] += " there"
    lines = scoreboard.markdown([here, elsewhere]).splitlines()[2:]
    assert len(lines) == 2 * len(here.judgements) - 1
    assert len(scoreboard.markdown([elsewhere]).splitlines()) == 2 + len(here.judgements)  # nowhere else to stand


def test_writing_changes_the_block_alone_and_only_once(recorded, readme):
    assert scoreboard.write_blocks(readme, recorded)
    assert not scoreboard.write_blocks(readme, recorded)
    text = readme.read_text()
    assert text.startswith("# Title\n\n<!--")
    assert text.endswith("-->\n\nThe rest.\n")
    assert "an earlier table" not in text
    assert "holds at laptop scale" in text


def test_a_papers_block_holds_its_own_claims_alone(recorded, readme):
    readme.write_text("<!-- scoreboard:rope:start -->\n<!-- scoreboard:rope:end -->\n")
    scoreboard.write_blocks(readme, recorded)
    assert "holds at laptop scale" in readme.read_text()
    readme.write_text("<!-- scoreboard:alibi:start -->\n<!-- scoreboard:alibi:end -->\n")
    scoreboard.write_blocks(readme, recorded)
    assert readme.read_text().splitlines()[1] == "No verdict is recorded yet."


def test_the_answers_block_opens_with_the_sentence_and_is_checked(recorded, readme, monkeypatch):
    monkeypatch.setattr(scoreboard, "status", lambda record: "current")
    readme.write_text("<!-- answer:rope:start -->\n<!-- answer:rope:end -->\n" + README)
    scoreboard.write_blocks(readme, recorded)
    lines = readme.read_text().splitlines()
    assert lines[1] == "**“A rotation of queries and keys is all you need.”**"
    assert lines[3].startswith("Measured: 1 of 3 claims hold at laptop scale")
    assert lines[4] == "<!-- answer:rope:end -->"
    assert "| **C1** " in readme.read_text()
    assert scoreboard.problems([readme], recorded) == []
    recorded[0].values["judgements"][0]["word"] = "contradicted"
    assert "out of date" in scoreboard.problems([readme], recorded)[0]


def test_a_file_without_markers_is_refused(recorded, readme):
    readme.write_text("# Title\n")
    with pytest.raises(UserError, match="scoreboard:start"):
        scoreboard.write_blocks(readme, recorded)
    with pytest.raises(UserError, match="no file"):
        scoreboard.write_blocks(readme.with_name("nothing.md"), recorded)


@pytest.mark.parametrize(
    ("status", "wrong"),
    [("current", 0), ("not comparable: another torch", 0), ("stale: moved", 1), ("claim changed: C1", 1)],
)
def test_what_no_longer_counts_is_a_problem_and_what_cannot_be_compared_is_none(
    recorded, readme, monkeypatch, status, wrong
):
    monkeypatch.setattr(scoreboard, "status", lambda record: status)
    assert len(scoreboard.problems([readme], recorded)) == wrong + 1  # the block is out of date
    scoreboard.write_blocks(readme, recorded)
    assert len(scoreboard.problems([readme], recorded)) == wrong
