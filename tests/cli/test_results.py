"""`report` and `scoreboard`."""

import json
import os
import webbrowser

import pytest

from allyouneed.cli import results
from allyouneed.lab.reports import records, report, saved, scoreboard

from ..lab.outcomes import make_outcome, study


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "runs" / "rope-laptop-0123abcd"
    saved.write(make_outcome(folder))
    (folder / report.FILE).write_text("the page")
    return folder


def test_report_prints_the_path_of_the_latest(cli, run_folder, tmp_path):
    newer = tmp_path / "runs" / "rope-laptop-ffff0000"
    saved.write(make_outcome(newer))
    (newer / report.FILE).write_text("a newer page")
    os.utime(run_folder / saved.FILE, (1, 1))
    assert cli("report", "rope").out == "runs/rope-laptop-ffff0000/report.html\n"
    assert json.loads(cli("report", "roformer", "--json").out) == {"report": "runs/rope-laptop-ffff0000/report.html"}


def test_report_draws_anew_if_asked(cli, run_folder, monkeypatch):
    monkeypatch.setattr(saved, "read", lambda folder: make_outcome(run_folder))
    monkeypatch.setattr(study, "figures", {})
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert cli("report", "rope", "--render", "--open").code == 0
    assert "holds at laptop scale" in (run_folder / report.FILE).read_text()
    assert opened == [(run_folder / report.FILE).resolve().as_uri()]


def test_report_without_a_run_says_which_command_makes_one(cli, run_folder):
    answer = cli("report", "rope", "--scale", "gpu")
    assert answer.code == 1
    assert "allyouneed run rope --scale gpu" in answer.err


def test_one_studys_name_may_begin_anothers(cli, run_folder, tmp_path):
    assert results.latest_run("rope", tmp_path / "runs", None) == run_folder
    run_folder.rename(run_folder.with_name("rope-scaling-laptop-0123abcd"))
    assert cli("report", "rope").code == 1


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A README and a record in a folder that takes the checkout's place."""
    (tmp_path / "README.md").write_text("<!-- scoreboard:start -->\n<!-- scoreboard:end -->\n")
    monkeypatch.setattr(records, "find_checkout", lambda: tmp_path)
    monkeypatch.setattr(records, "status", lambda record: "current")
    monkeypatch.setattr(scoreboard, "status", lambda record: "current")
    records.record(make_outcome(tmp_path / "run"), None, tmp_path / "results")


def test_check_fails_until_the_readme_is_written(cli, board, tmp_path):
    stale = cli("scoreboard", "--check")
    assert stale.code == 1
    assert "README.md is out of date" in stale.err
    assert cli("scoreboard", "--write", "README.md").code == 0
    assert cli("scoreboard", "--check").code == 0
    assert "holds at laptop scale" in (tmp_path / "README.md").read_text()


def test_check_reads_the_papers_notes_too(cli, board, tmp_path):
    notes = tmp_path / "src" / "allyouneed" / "papers" / "rope" / "notes.md"
    notes.parent.mkdir(parents=True)
    notes.write_text("<!-- scoreboard:rope:start -->\n<!-- scoreboard:rope:end -->\n")
    cli("scoreboard", "--write", "README.md")
    assert "notes.md is out of date" in cli("scoreboard", "--check").err
    cli("scoreboard", "--write", "README.md", "--write", str(notes))
    assert cli("scoreboard", "--check").code == 0


def test_check_fails_on_a_stale_record(cli, board, monkeypatch):
    cli("scoreboard", "--write", "README.md")
    monkeypatch.setattr(scoreboard, "status", lambda record: "stale: the loss moved")
    answer = cli("scoreboard", "--check")
    assert answer.code == 1
    assert "rope at laptop scale: stale: the loss moved" in answer.err


def test_the_board_is_printed_with_the_status_of_every_record(cli, board):
    assert "rope at laptop scale" in cli("scoreboard").out
    rows = json.loads(cli("scoreboard", "--json").out)
    assert [row["claim"] for row in rows] == ["C1", "C2", "C3", "C4"]
    assert {row["status"] for row in rows} == {"current"}
