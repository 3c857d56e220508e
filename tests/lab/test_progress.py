"""The user's own file: kept whole, kept where it is, and never written over when it is not understood."""

import datetime
import json
import subprocess
import sys

import pytest

from allyouneed.data import cache
from allyouneed.errors import UserError
from allyouneed.lab import progress
from allyouneed.lab.progress import Progress, Status, mark, progress_file, read_progress, write_note

TODAY = datetime.date.today().isoformat()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ALLYOUNEED_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_file_is_where_the_environment_or_the_system_says(tmp_path, monkeypatch):
    assert progress_file() == tmp_path / "home" / "reading.json"
    monkeypatch.delenv("ALLYOUNEED_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert progress.home_dir() == tmp_path / "xdg" / "allyouneed"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert progress.home_dir() == tmp_path / ".local" / "share" / "allyouneed"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert progress.home_dir() == tmp_path / "Library" / "Application Support" / "allyouneed"
    monkeypatch.setattr(sys, "platform", "win32")
    assert progress.home_dir() == tmp_path / "roaming" / "allyouneed"


def test_nothing_is_read_and_nothing_written_before_the_first_mark(home):
    assert read_progress() == {}
    assert not home.exists()


def test_marks_and_notes_come_back_with_their_day():
    mark(["rope", "alibi"], Status.READ)
    write_note("rope", " two layouts ")
    assert read_progress() == {
        "rope": Progress(Status.READ, TODAY, "two layouts"),
        "alibi": Progress(Status.READ, TODAY),
    }


def test_the_day_is_that_of_the_first_mark_of_its_kind(home):
    mark(["rope"], Status.READ)
    progress_file().write_text(progress_file().read_text().replace(TODAY, "2020-02-20"))
    mark(["rope"], Status.READ)
    assert read_progress()["rope"].since == "2020-02-20"
    mark(["rope"], Status.READING)
    assert read_progress()["rope"] == Progress(Status.READING, TODAY)


def test_unread_and_an_empty_note_leave_nothing_behind():
    mark(["rope"], Status.READING)
    write_note("rope", "two layouts")
    mark(["rope"], Status.UNREAD)
    assert read_progress() == {"rope": Progress(note="two layouts")}
    write_note("rope", "  ")
    assert read_progress() == {}


def test_what_another_version_wrote_is_kept_as_it_is(home):
    home.mkdir()
    theirs = {"status": "read", "since": "2031-01-01", "stars": 5}
    values = {"format": 1, "theme": "dark", "items": {"a_paper_of_2031": theirs, "rope": {"stars": 4}}}
    progress_file().write_text(json.dumps(values))
    mark(["rope"], Status.READ)
    now = json.loads(progress_file().read_text())
    assert now["theme"] == "dark"
    assert now["items"]["a_paper_of_2031"] == theirs
    assert now["items"]["rope"] == {"stars": 4, "status": "read", "since": TODAY}
    assert read_progress()["a_paper_of_2031"] == Progress(Status.READ, "2031-01-01")


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"format": 1, "items": {"rope": {"sta',
        "[]",
        '"read"',
        "{}",
        '{"format": 1}',
        '{"format": 1, "items": []}',
        '{"format": 1, "items": {"rope": "read"}}',
        '{"format": 1, "items": {"rope": {"status": "skimmed"}}}',
        '{"format": "one", "items": {}}',
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_file_is_named_and_left_as_it_is(home, text):
    home.mkdir()
    content = text if isinstance(text, bytes) else text.encode()
    progress_file().write_bytes(content)
    for do in (read_progress, lambda: mark(["rope"], Status.READ), lambda: write_note("rope", "x")):
        with pytest.raises(
            UserError, match=r"reading\.json is damaged and was left as it is: mend it, or move it away"
        ):
            do()
    assert progress_file().read_bytes() == content


def test_a_file_of_a_later_version_is_left_alone(home):
    home.mkdir()
    progress_file().write_text('{"format": 2, "shelves": []}')
    with pytest.raises(UserError, match="later version of allyouneed: upgrade"):
        mark(["rope"], Status.READ)
    assert progress_file().read_text() == '{"format": 2, "shelves": []}'


def test_a_place_that_cannot_be_written_is_said(home):
    home.write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot read .*home/reading\.json"):
        read_progress()
    with pytest.raises(UserError, match="in the way"):
        mark(["rope"], Status.READ)


def test_a_write_that_fails_half_way_loses_nothing(monkeypatch):
    mark(["rope"], Status.READ)
    before = progress_file().read_bytes()
    monkeypatch.setattr(cache.os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(UserError, match="disk is full"):
        mark(["alibi"], Status.READ)
    assert progress_file().read_bytes() == before


def test_two_commands_at_once_lose_nothing_of_each_other():
    program = "import sys; from allyouneed.lab.progress import *\n"
    program += "for n in range(30): mark([sys.argv[1] + str(n)], Status.READ)"
    both = [subprocess.Popen([sys.executable, "-c", program, name]) for name in ("left", "right")]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert len(read_progress()) == 60
