"""Finding papers by the names people use, and reading their notes."""

from pathlib import Path

import pytest

from allyouneed.errors import UserError
from allyouneed.lab import papers

FRONT = """---
title: "RoFormer: a title with a colon"
authors: [Jianlin Su, Yu Lu]
year: 2021
arxiv: ["2104.09860"]
theme: positions
tagline: a rotation is all you need
home: allyouneed.lab.papers
also: [allyouneed.lab]
families: [llama]
aliases: [RoFormer, rotary embedding]
---
## Idea
Turn each vector.

## How it works
In planes.
"""

LIST = "".join(
    f'[{key}]\nkind = "paper"\ntitle = "A title"\nurl = "https://arxiv.org/abs/{arxiv}"\nlists = ["top-ten-a"]\n'
    for key, arxiv in {
        "mistral": "2104.09860",
        "rope": "2104.09860",
        "pre_ln": "2002.04745",
        "t5": "1910.10683",
    }.items()
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for slug in ("rope", "pre_ln"):
        (tmp_path / slug).mkdir()
        text = (
            FRONT
            if slug == "rope"
            else FRONT.replace("2104.09860", "2002.04745").replace("RoFormer, rotary", "Pre norm, on")
        )
        (tmp_path / slug / "notes.md").write_text(text)
    (tmp_path / "reading_list.toml").write_text(LIST)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("rope", "rope"),
        ("ROPE", "rope"),
        ("pre-ln", "pre_ln"),
        ("Pre_LN", "pre_ln"),
        ("roformer", "rope"),
        ("Rotary Embedding", "rope"),
        ("rotary-embedding", "rope"),
        ("2104.09860", "rope"),
        ("arXiv:2104.09860v5", "rope"),
        ("https://arxiv.org/abs/2104.09860", "rope"),
    ],
)
def test_a_paper_is_found_by_every_name_it_has(folder, name, slug):
    assert papers.find(name, folder).slug == slug


def test_an_unknown_name_gives_the_nearest_ones(folder):
    with pytest.raises(UserError, match=r"no paper 'roep'\. Did you mean rope"):
        papers.find("roep", folder)
    with pytest.raises(UserError, match="Did you mean pre_ln"):
        papers.find("pre_nl", folder)


@pytest.mark.parametrize("name", ["t5", "T5", "1910.10683", "https://arxiv.org/pdf/1910.10683"])
def test_what_only_the_reading_list_knows_is_not_built(folder, name):
    with pytest.raises(papers.NotBuilt, match="t5 is on the reading list and not built yet: https") as caught:
        papers.find(name, folder)
    assert caught.value.item == papers.find_item(name, folder) == papers.all_items(folder)["t5"]


def test_of_two_with_one_arxiv_id_the_built_one_is_meant(folder):
    assert papers.find("2104.09860", folder).slug == "rope"
    assert papers.find_item("2104.09860", folder).key == "rope"
    assert papers.find_item("mistral", folder).key == "mistral"


def test_a_key_of_the_list_is_no_built_papers_alias(folder):
    notes = folder / "rope" / "notes.md"
    notes.write_text(FRONT.replace("RoFormer, rotary", "T5, rotary"))
    with pytest.raises(papers.NotBuilt):
        papers.find("t5", folder)


@pytest.mark.parametrize("name", ["", "../rope", "/etc", "rope/../rope", "."])
def test_a_path_is_no_name_of_a_paper(folder, name):
    with pytest.raises(UserError):
        papers.find(name, folder)


def test_front_matter_and_sections_are_read(folder):
    notes = papers.find("rope", folder)
    assert (notes.authors, notes.year, notes.arxiv) == ("Jianlin Su, Yu Lu", 2021, ("2104.09860",))
    assert notes.sections == {"Idea": "Turn each vector.", "How it works": "In planes."}
    assert (notes.sentence, notes.answer) == ("A rotation is all you need.", "")
    assert notes.homes["allyouneed.lab.papers"] == Path(papers.__file__)
    assert notes.homes["allyouneed.lab"].name == "__init__.py"


def test_what_is_generated_into_the_notes_is_none_of_their_text(folder):
    opening = "<!-- answer:rope:start -->\n**Yes.**\n<!-- answer:rope:end -->\n\n## Idea\n"
    table = "\n<!-- scoreboard:rope:start -->\n| a table |\n<!-- scoreboard:rope:end -->\n"
    file = folder / "rope" / "notes.md"
    file.write_text(FRONT.replace("## Idea\n", opening) + table)
    notes = papers.read_notes(file)
    assert notes.body == "## Idea\nTurn each vector.\n\n## How it works\nIn planes.\n\n| a table |"
    assert notes.sections["Idea"] == "Turn each vector."


def test_all_papers_come_sorted(folder):
    assert [notes.slug for notes in papers.all_papers(folder)] == ["pre_ln", "rope"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("year: 2021\n", "", "lacks year"),
        ("---\ntitle", "title", "must open with front matter"),
        ("theme: positions", "theme: [positions", "not YAML"),
        ('["2104.09860"]', "[2104.09860]", "need quotes"),
    ],
)
def test_broken_front_matter_says_what_is_wrong(folder, old, new, message):
    file = folder / "rope" / "notes.md"
    file.write_text(FRONT.replace(old, new))
    with pytest.raises(ValueError, match=message):
        papers.read_notes(file)


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(FileNotFoundError, match=r"allyouneed\.blocks\.nothing"):
        papers.module_file("allyouneed.blocks.nothing")
