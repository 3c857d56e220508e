"""The reading list with the user's progress, as other programs get it."""

import csv
import io

from markdown_it import MarkdownIt

from allyouneed.lab.progress import Progress, Status
from allyouneed.lab.reading_list import Item, Kind
from allyouneed.lab.reports.reading_export import counted, rows, to_csv, to_markdown

ITEMS = {
    "rope": Item("rope", Kind.PAPER, "Ro[Former] *again*", "Su, 2021", "https://arxiv.org/abs/1", ("top-ten-a", "x")),
    "rlhf": Item("rlhf", Kind.ARTICLE, 'How "it" works, in short', "", "", ("reading-list",)),
    "alibi": Item("alibi", Kind.PAPER, "Train Short", "Press", "https://arxiv.org/abs/2", ("x",)),
}
PROGRESS = {
    "of_2031": Progress(Status.READ, "2031-01-01", "from a later version"),
    "rope": Progress(Status.READ, "2026-01-02", "two lines,\n*and* a <b>quote</b>"),
    "alibi": Progress(Status.READING, "2026-02-03"),
}
ROWS = rows(ITEMS, PROGRESS)


def test_the_lists_order_stays_and_what_it_lacks_comes_last():
    assert [row["key"] for row in ROWS] == ["rope", "rlhf", "alibi", "of_2031"]
    assert [row["status"] for row in ROWS] == ["read", "unread", "reading", "read"]
    assert ROWS[-1]["note"] == "from a later version"
    assert len({tuple(row) for row in ROWS}) == 1


def test_they_are_counted():
    assert counted(ROWS) == "2 of 4 read, 1 being read"


def test_csv_gives_back_every_field():
    back = list(csv.DictReader(io.StringIO(to_csv(ROWS), newline="")))
    assert list(back[0]) == ["key", "kind", "title", "by", "url", "lists", "status", "since", "note"]
    for row, text in zip(ROWS, back, strict=True):
        assert text == {name: str(value) for name, value in row.items()} | {"lists": "; ".join(row["lists"])}


def test_markdown_is_a_checklist_that_shows_text_as_it_is():
    text = to_markdown(ROWS)
    lines = text.splitlines()
    assert sum(line.startswith("- [x] ") for line in lines) == 2
    assert sum(line.startswith("- [ ] ") for line in lines) == 2
    assert "- [ ] [Train Short](<https://arxiv.org/abs/2>), Press (reading 2026-02-03)" in lines
    assert '- [ ] How "it" works, in short' in lines
    html = MarkdownIt().render(text)
    assert '<a href="https://arxiv.org/abs/1">Ro[Former] *again*</a>' in html
    assert "two lines,\n*and* a &lt;b&gt;quote&lt;/b&gt;" in html
    assert html.count("<blockquote>") == 2
