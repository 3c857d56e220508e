"""`list`, `show` and `read`."""

import json
import webbrowser

import pytest

from allyouneed.cli.papers import find_tests
from allyouneed.lab import papers
from allyouneed.lab.reports import records

from ..lab.outcomes import make_outcome


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A made-up record of rope at laptop scale, as if a user had made it in this folder."""
    monkeypatch.setattr(records, "results_root", lambda: tmp_path / "of the project")
    return records.record(make_outcome(tmp_path / "run"), None, tmp_path / "results")


def test_list_names_the_papers_by_theme_with_their_verdicts(cli, recorded):
    answer = cli("list")
    assert answer.code == 0
    assert answer.out.index("positions") < answer.out.index("rope")
    assert "1 holds" in " ".join(answer.out.split())
    listed = {paper["slug"]: paper for paper in json.loads(cli("list", "--json").out)}
    assert listed["rope"]["verdicts"]["C1"] == "holds"


@pytest.mark.parametrize("name", ["rope", "ROPE", "RoFormer", "2104.09864"])
def test_show_takes_every_name_of_a_paper(cli, name):
    answer = cli("show", name)
    assert answer.code == 0
    for words in ("RoFormer", "2021", "positions/rope.py", "study.py", "llama", "allyouneed run rope"):
        assert words in answer.out.replace("\n", "")


@pytest.fixture
def only_rope(tmp_path, monkeypatch):
    """As if rope were the only paper that is built."""
    for name in ("rope", "reading_list.toml"):
        (tmp_path / "papers" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "papers" / name).symlink_to(papers.FOLDER / name)
    for function in (papers.all_papers, papers.find, papers.all_items):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "papers",))


def test_list_all_shows_what_is_not_built_yet_as_such(cli, only_rope):
    assert "alibi" not in cli("list").out
    text = cli("list", "--all").out
    assert text.index("rope") < text.index("not built yet") < text.index("alibi")
    assert "moe_explained" not in text  # an article
    rows = json.loads(cli("list", "--all", "--json").out)
    assert len(rows) == 85
    assert [row["slug"] for row in rows if row["built"]] == ["rope"]
    assert {"slug", "title", "by", "url", "lists", "kind"} <= set(rows[-1])


def test_show_of_what_is_not_built_says_what_the_list_knows(cli, only_rope):
    for name in ("alibi", "2108.12409"):
        answer = cli("show", name)
        assert answer.code == 0
        for words in ("Train Short, Test Long", "Press, 2021", "https://arxiv.org/abs/2108.12409", "reading-list"):
            assert words in answer.out
        assert "not built yet" in answer.out
    values = json.loads(cli("show", "alibi", "--json").out)
    assert (values["slug"], values["built"]) == ("alibi", False)
    assert json.loads(cli("show", "rope", "--json").out)["built"]


@pytest.mark.parametrize("words", [("run", "alibi"), ("read", "alibi"), ("run", "2108.12409", "--scale", "smoke")])
def test_what_is_not_built_can_neither_be_run_nor_read_here(cli, only_rope, words):
    answer = cli(*words)
    assert answer.code == 1
    assert answer.err.strip() == (
        "allyouneed: alibi is on the reading list and not built yet: https://arxiv.org/abs/2108.12409"
    )


def test_show_opens_with_the_sentence_and_its_answer(cli, recorded):
    text = " ".join(cli("show", "rope").out.split())
    opening = "“A rotation of queries and keys is all you need.” Measured: 1 of 3 claims hold at laptop scale"
    assert text.startswith(opening)
    assert json.loads(cli("show", "rope", "--json").out)["answer"].startswith("Measured: 1 of 3")


def test_show_of_a_paper_without_a_record_says_that_it_is_not_measured(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "results_root", lambda: tmp_path / "nothing")
    assert "Not measured yet." in cli("show", "rope").out


def test_show_gives_recorded_verdicts(cli, recorded):
    assert "recorded at laptop scale" in cli("show", "rope").out
    values = json.loads(cli("show", "rope", "--json").out)
    assert values["records"][0]["verdicts"]["C4"] == "not run: the corpus may not be shared"
    assert values["idea"]


def test_read_writes_one_page_with_notes_and_source(cli, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    answer = cli("read", "rope", "--no-browser")
    page = tmp_path / answer.out.strip()
    html = page.read_text()
    assert "Details people get wrong" in html
    assert "&lt;!--" not in html  # what the scoreboard writes between is there, its marks are not
    for file in (*papers.find("rope").homes.values(), papers.find("rope").study_file):
        assert file.name in html
    assert "<script" not in html
    assert not opened
    cli("read", "rope")
    assert opened == [page.resolve().as_uri()]


def test_an_unknown_paper_is_one_line_on_stderr(cli):
    for command in ("show", "read"):
        answer = cli(command, "roep")
        assert answer.code == 1
        assert answer.out == ""
        assert answer.err.startswith("allyouneed: there is no paper 'roep'. Did you mean rope?")


def test_tests_are_named_only_where_they_exist(tmp_path):
    notes = papers.find("rope")
    assert find_tests(notes, None) == []
    assert find_tests(notes, tmp_path) == []
    for name in ("tests/blocks/positions/test_rope.py", "tests/parity/test_rope.py", "tests/papers/test_rope.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert len(find_tests(notes, tmp_path)) == 3
