"""The reading list as package data: what is read, and what is refused."""

import pytest

from allyouneed.lab import papers
from allyouneed.lab.reading_list import LISTS, Kind, arxiv_id, read_items

ITEM = """[rope]
kind = "paper"
title = "RoFormer"
by = "Su, 2021"
url = "https://arxiv.org/abs/2104.09864"
lists = ["top-ten-a", "read-recently"]
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "list.toml"
    file.write_text(ITEM)
    return file


def test_an_item_is_read_as_it_stands(file):
    item = read_items(file)["rope"]
    assert (item.key, item.kind, item.title, item.by) == ("rope", Kind.PAPER, "RoFormer", "Su, 2021")
    assert (item.arxiv, item.lists) == ("2104.09864", ("top-ten-a", "read-recently"))


def test_what_is_not_known_of_an_item_is_empty(file):
    file.write_text('[rlhf]\nkind = "article"\ntitle = "How it works"\nlists = ["reading-list"]\n')
    item = read_items(file)["rlhf"]
    assert (item.by, item.url, item.arxiv) == ("", "", None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"paper"', '"novel"', "rope .* no kind of paper, article"),
        ('kind = "paper"\n', "", "rope .* no kind of"),
        ('title = "RoFormer"\n', "", "rope .* needs .* a title"),
        ('["top-ten-a", "read-recently"]', "[]", "rope .* needs .* its lists"),
        ("read-recently", "read-never", "rope .* a list that is none of top-ten-a"),
        ("https://arxiv.org/abs/2104.09864", "arxiv.org/abs/2104.09864", "rope .* url"),
        ("https://arxiv.org/abs/2104.09864", "https://", "rope .* url"),
        ("by =", "author =", "rope .* unknown fields: author"),
        ("[rope]", "[ro-pe]", "ro-pe .* identifier"),
        (ITEM, ITEM + ITEM, "rope"),
    ],
)
def test_a_mistake_in_the_list_is_named_with_its_key(file, old, new, message):
    file.write_text(ITEM.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_items(file)


def test_the_list_of_the_package_is_whole():
    items = papers.all_items()
    kinds = [item.kind for item in items.values()]
    assert {kind: kinds.count(kind) for kind in Kind} == {
        Kind.PAPER: 85,
        Kind.ARTICLE: 14,
        Kind.COURSE: 1,
        Kind.TOOL: 3,
        Kind.LIST: 5,
        Kind.ORGANISATION: 1,
    }
    assert {name for item in items.values() for name in item.lists} == set(LISTS)
    assert list(items)[:2] == ["transformer", "layer_norm"]  # the lists' own order


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("2104.09864", "2104.09864"),
        (" arXiv:2104.09864v5 ", "2104.09864"),
        ("http://arxiv.org/pdf/2104.09864.pdf", "2104.09864"),
        ("https://example.org/abs/2104.09864", None),
        ("rope", None),
        ("", None),
    ],
)
def test_an_arxiv_id_is_known_in_all_its_forms(text, id):
    assert arxiv_id(text) == id
