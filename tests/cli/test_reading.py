"""`reading`, and its `mark`, `note` and `export`."""

import csv
import json

import pytest

from allyouneed.lab import papers
from allyouneed.lab.progress import progress_file


def keys(answer) -> list[str]:
    assert answer.code == 0, answer.err
    return [row["key"] for row in json.loads(answer.out)]


def test_the_list_is_printed_with_marks_notes_and_a_count(cli):
    cli("reading", "mark", "rope", "read")
    cli("reading", "mark", "alibi", "glu", "reading")
    cli("reading", "note", "alibi", "slopes are fixed")
    text = cli("reading").out
    lines = text.splitlines()
    assert next(line for line in lines if " rope " in line).startswith("✓")
    assert next(line for line in lines if " alibi " in line).startswith("…")
    assert "slopes are fixed" in text
    assert "1 of 109 read, 2 being read" in text


def test_filters_choose_and_combine(cli):
    everything = keys(cli("reading", "--json"))
    assert len(everything) == 109
    cli("reading", "mark", "rope", "mamba", "read")
    cli("reading", "mark", "gqa", "reading")
    assert [key for key in everything if key not in ("rope", "mamba")] == keys(cli("reading", "--unread", "--json"))
    recent = keys(cli("reading", "--list", "read-recently", "--unread", "--json"))
    assert "gqa" in recent
    assert "rope" not in recent
    assert "mamba" not in recent
    assert keys(cli("reading", "--kind", "course", "--json")) == ["llm_bootcamp"]
    both = keys(cli("reading", "--kind", "course", "--kind", "organisation", "--json"))
    assert both == ["llm_bootcamp", "bigcode"]


def test_json_says_what_is_built_here(cli):
    rows = {row["key"]: row for row in json.loads(cli("reading", "--json").out)}
    assert {key for key, row in rows.items() if row["built"]} == {notes.slug for notes in papers.all_papers()}
    assert rows["rope"]["lists"] == ["top-ten-a", "read-recently"]


@pytest.mark.parametrize("name", ["rope", "RoFormer", "arXiv:2104.09864", "2005.14165", "GPT-3", "moe_explained"])
def test_an_item_is_marked_by_any_of_its_names(cli, name):
    answer = cli("reading", "mark", name, "read")
    assert answer.code == 0
    assert "1 of 109 read" in cli("reading").out
    assert answer.out.split(":")[0] in ("rope", "gpt_3", "moe_explained")


def test_one_wrong_name_marks_nothing(cli):
    answer = cli("reading", "mark", "rope", "alibbi", "read")
    assert answer.code == 1
    assert "no paper 'alibbi'. Did you mean alibi?" in answer.err
    assert "0 of 109 read" in cli("reading").out
    assert cli("reading", "mark", "rope", "done").code == 2


def test_a_note_is_kept_shown_and_removed(cli):
    assert cli("reading", "note", "rope").out == ""
    cli("reading", "note", "rope", "[bold] two layouts")
    assert cli("reading", "note", "rope").out == "[bold] two layouts\n"
    assert "[bold] two" in cli("reading").out
    cli("reading", "note", "rope", "")
    answer = cli("reading", "note", "rope")
    assert (answer.code, answer.out) == (0, "")
    assert "no note on rope yet" in answer.err


def test_export_writes_the_whole_list_by_the_files_ending(cli, tmp_path):
    cli("reading", "mark", "rope", "read")
    assert cli("reading", "export", "list.md").out == "list.md\n"
    assert "- [x] [RoFormer" in (tmp_path / "list.md").read_text()
    cli("reading", "export", "deep/list.CSV")
    with (tmp_path / "deep" / "list.CSV").open(newline="") as file:
        assert [row["key"] for row in csv.DictReader(file) if row["status"] == "read"] == ["rope"]
    answer = cli("reading", "export", "list.txt")
    assert answer.code == 1
    assert "list.txt must end in .csv or .md" in answer.err
    assert not (tmp_path / "list.txt").exists()


@pytest.mark.parametrize(("name", "said"), [("dir.md", "a folder of that name"), (f"{'a' * 300}.md", "is too long")])
def test_a_file_that_cannot_be_written_is_one_line_on_stderr(cli, tmp_path, name, said):
    (tmp_path / "dir.md").mkdir()
    answer = cli("reading", "export", name)
    assert (answer.code, len(answer.err.splitlines())) == (1, 1)
    assert said in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["dir.md"]


def test_an_unknown_list_or_kind_is_refused_with_those_there_are(cli):
    answer = cli("reading", "--list", "top-ten")
    assert answer.code == 1
    assert answer.err.startswith("allyouneed: there is no list 'top-ten'; there are top-ten-a, ")
    assert "organisation" in cli("reading", "--kind", "novel").err


def test_options_of_the_list_do_nothing_for_its_commands_and_so_are_refused(cli):
    assert cli("reading", "--unread", "mark", "rope", "read").code == 2
    assert not progress_file().exists()


def test_a_damaged_file_is_one_line_on_stderr(cli):
    cli("reading", "mark", "rope", "read")
    progress_file().write_text("{")
    for words in (["reading"], ["reading", "mark", "alibi", "read"], ["reading", "note", "rope"]):
        answer = cli(*words)
        assert answer.code == 1
        assert "reading.json is damaged" in answer.err
    assert progress_file().read_text() == "{"


def test_progress_with_items_that_the_list_does_not_have_is_shown(cli):
    cli("reading", "mark", "rope", "read")
    progress_file().write_text(progress_file().read_text().replace('"rope"', '"paper_of_2031"'))
    assert keys(cli("reading", "--json"))[-1] == "paper_of_2031"
    assert "paper_of_2031" in cli("reading").out
    assert cli("reading", "note", "paper_of_2031", "still to come").out == "paper_of_2031: noted\n"
    assert cli("reading", "note", "paper_of_2031").out == "still to come\n"
    assert cli("reading", "mark", "paper_of_2031", "alibi", "reading").out == "paper_of_2031, alibi: reading\n"
    assert cli("reading", "mark", "paper_of_2032", "read").code == 1
