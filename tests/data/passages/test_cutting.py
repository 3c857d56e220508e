"""Documents into passages: whole paragraphs where they fit, headings and lines right, nothing lost."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allyouneed.data.passages.cutting import LONGEST, cut, documents
from allyouneed.errors import UserError

GUIDE = """Before any heading.

# Guide

Intro line one
goes on.

## Install ##
Run this:

```sh
# not a heading

pip install it
```

### On a Mac
Same.

## Use
Go."""


def test_headings_lines_and_fences():
    found = [(c.line, c.headings, c.text) for c in cut(GUIDE, "guide.md")]
    assert found == [
        (1, (), "Before any heading."),
        (5, ("Guide",), "Intro line one\ngoes on."),
        (9, ("Guide", "Install"), "Run this:\n\n```sh\n# not a heading\n\npip install it\n```"),
        (18, ("Guide", "Install", "On a Mac"), "Same."),
        (21, ("Guide", "Use"), "Go."),
    ]
    assert cut(GUIDE, "guide.md")[3].in_context == "Guide > Install > On a Mac\nSame."
    assert cut("x", "notes/todo.txt")[0].in_context == "todo\nx"
    assert cut("x", "notes/todo.txt")[0].place == "notes/todo.txt:1"


def test_short_paragraphs_are_joined_and_long_ones_cut_at_sentences():
    short = "\n\n".join(f"Paragraph {i} " + "word " * 28 for i in range(12))
    sizes = [len(c.text.split()) for c in cut(short, "a.txt")]
    assert sizes == [120, 120, 120]
    sentence = "This is sentence number %d of a very long paragraph without a break. "
    long = cut("".join(sentence % i for i in range(60)), "a.txt")
    assert all(90 <= len(c.text.split()) <= LONGEST for c in long[:-1])
    assert all(c.text.endswith(".") for c in long)
    lines = cut("\n".join(f"Line {i} has five words" for i in range(100)), "a.txt")
    assert [c.line for c in lines] == [1, 21, 41, 61, 81]
    assert [len(c.text.split()) for c in cut("word " * 450, "a.txt")] == [100, 100, 100, 100, 50]


@example(["```", "three " * 150, "  ", "three " * 150])  # an empty line inside a block that is cut
@given(st.lists(st.sampled_from(["# A", "## B", "```", "", "  ", "one two.", "three " * 150, "* item", "#no", "\t"])))
def test_no_word_is_lost_or_doubled_and_every_line_is_right(lines):
    text = "\n".join(lines)
    passages = cut(text, "x.md")
    headings = [line for line in lines if line in ("# A", "## B")]
    said = " ".join(c.text for c in passages).split()
    fenced = sum(passage.text.count("# A") + passage.text.count("## B") for passage in passages)
    expected = [word for line in lines if line not in ("# A", "## B") for word in line.split()]
    assert len(said) - 2 * fenced == len(expected)
    assert fenced <= len(headings)
    for passage in passages:
        assert text.split("\n")[passage.line - 1].split()[0] == passage.text.split()[0]
        assert passage.text.strip() == passage.text.rstrip()


def test_a_folders_text_files(tmp_path):
    for name in ("b.md", "a.txt", "sub/c.MD", ".hidden/d.md", ".e.md", "f.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "latin.txt").write_bytes("naïve".encode("latin-1"))
    (tmp_path / "zero.txt").write_bytes(b"a\0b")
    with pytest.warns(UserWarning, match=r"latin\.txt, zero\.txt \(2\)"):
        assert list(documents(tmp_path)) == ["a.txt", "b.md", "sub/c.MD"]
    assert documents(tmp_path / "f.py") == {"f.py": b"f.py"}
    with pytest.raises(UserError, match="no file or folder"):
        documents(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no text in"):
        documents(empty)
