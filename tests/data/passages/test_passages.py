"""Collections with questions: made-up biographies, docstrings, published ones, and a user's own."""

import json
import re

import numpy as np
import pytest

from allyouneed.data import open_data
from allyouneed.data.documents import Document
from allyouneed.data.passages import Passages, Questions
from allyouneed.data.passages import docstring_pairs as docstrings
from allyouneed.data.passages.files import document_passages, with_questions
from allyouneed.data.tasks.biographies import FAMILIAR, NEW, Biographies
from allyouneed.data.tasks.biography_sentences import ATTRIBUTES, FIRST_NAMES, FUNCTION_WORDS, SURNAMES
from allyouneed.errors import UserError

SMALL = Biographies(n_people=30, n_new=10)


def content_words(sentences):
    found = {word for sentence in sentences for word in re.findall(r"\w+", sentence.lower())}
    return found - {"name", "value"} - set(FUNCTION_WORDS)


def test_passages_and_questions_share_no_word():
    told = [sentence for attribute in ATTRIBUTES for sentence in attribute.told]
    values = [value for attribute in ATTRIBUTES for value in attribute.values]
    asked = [sentence for attribute in ATTRIBUTES for sentence in attribute.asked]
    names = [*FIRST_NAMES, *FIRST_NAMES.values(), *SURNAMES]
    assert not content_words(asked) & content_words([*told, *values])
    assert not content_words(names) & content_words([*told, *asked])
    for attribute in ATTRIBUTES:
        assert len(set(attribute.told)) == 3
        assert len(set(attribute.asked)) == 6


def test_names_are_all_different_and_nicknames_too():
    assert len(set(FIRST_NAMES.values()) | set(FIRST_NAMES)) == 2 * len(FIRST_NAMES)
    assert len(set(Biographies().names)) == 550


def test_each_fact_stands_in_its_own_passage():
    assert len(SMALL.passages) == len(SMALL.facts) == 40 * 12
    for fact, passage in zip(SMALL.facts, SMALL.passages):
        assert SMALL.names[fact.person] in passage
        assert fact.value in passage
        assert fact.value != SMALL.names[fact.person]


def test_splits_ask_for_other_facts_in_other_ways():
    data = SMALL.collection(n_train=200, n_tune=40, n_test=60)
    asked = [number for split in data.splits for of in split.judged for number in of]
    assert len(asked) == len(set(asked)) == 200 + 40 + 2 * 60
    ways = [set(), set(), set()]
    for split, used in zip(data.splits, ways):
        for text, of in zip(split.texts, split.judged):
            fact = SMALL.facts[next(iter(of))]
            form = text.replace(SMALL.names[fact.person], "{name}")
            used.add(ATTRIBUTES[fact.attribute].asked.index(form))
    assert ways == [{0, 1, 2}, {3}, {4, 5}]
    people = {SMALL.facts[number].person for of in data.train.judged for number in of}
    for text, of, group in zip(data.test.texts, data.test.judged, data.test.groups):
        fact = SMALL.facts[next(iter(of))]
        assert (fact.person >= 30) == (group == NEW)
        assert SMALL.names[fact.person] in text
    assert people <= set(range(30))
    assert data.version == SMALL.collection(200, 40, 60).version != SMALL.collection(200, 40, 50).version


def test_another_world_has_the_same_people_and_other_facts():
    other = Biographies(n_people=30, n_new=10, world=1)
    assert other.names == SMALL.names
    same = np.mean([one.value == two.value for one, two in zip(SMALL.facts, other.facts)])
    assert same < 0.15  # 1 in 20 by chance
    assert Biographies(n_people=30, n_new=10, seed=1).names != SMALL.names


def test_stale_copies_namesakes_and_nicknames():
    stale = Biographies(n_people=30, n_new=10, stale_share=0.25)
    old = stale.facts[480:]
    assert len(old) == 120
    for fact, passage in zip(old, stale.passages[480:]):
        now = stale.facts[fact.person * 12 + fact.attribute]
        assert fact.stale
        assert fact.value != now.value
        assert passage.startswith("As of ")
    crowded = Biographies(n_people=30, n_new=0, n_namesakes=10)
    assert len({name.split()[1] for name in crowded.names}) == 3
    nicknamed = Biographies(n_people=30, n_new=10, aliases=True)
    first, last = nicknamed.names[0].split()
    assert f"{FIRST_NAMES[first]} {last}" in nicknamed.ask(0, 0)
    assert nicknamed.names[39] in nicknamed.ask(39 * 12, 0)


def test_too_much_asked_of_biographies_is_refused():
    with pytest.raises(ValueError, match="too few"):
        SMALL.collection(300, 40, 60)
    with pytest.raises(ValueError, match="names"):
        Biographies(n_people=5001)
    with pytest.raises(ValueError, match="stale_share"):
        Biographies(stale_share=2)


def test_a_part_has_the_passages_of_its_questions():
    data = SMALL.collection(200, 40, 60)
    part = data.part(5, 2, 3)
    assert [len(split) for split in part.splits] == [5, 2, 6]
    assert len(part.passages) == 13
    assert part.test.groups == [FAMILIAR] * 3 + [NEW] * 3
    for mine, whole in zip(part.splits, data.splits):
        for text, of in zip(mine.texts, mine.judged):
            (number,) = whole.judged[whole.texts.index(text)]
            assert part.passages[next(iter(of))] == data.passages[number]


def test_docstrings_are_cut_into_summary_and_body(monkeypatch):
    body = "Parameters\n----------\n%d " + "word " * 150
    texts = [f"Compute thing number {i} of many.\n\n{body % i}" for i in range(20)]
    texts += [
        "Too short.\n\n" + body,
        "A summary that has no body at all.",
        "One that has too little body.\n\nfew words",
    ]
    corpus = _Corpus([Document(f"m{i}.py", "", text.encode()) for i, text in enumerate(texts)])
    monkeypatch.setattr(docstrings, "english_prose", lambda: corpus)
    data = docstrings.docstring_pairs()
    assert [len(split) for split in data.splits] == [20, 20, 20]
    for split in data.splits:
        for text, of in zip(split.texts, split.judged):
            passage = data.passages[next(iter(of))]
            assert text.startswith("Compute thing number")
            assert passage.startswith(f"Parameters {text.split()[3]} word")
            assert len(passage.split()) == docstrings.LONGEST


class _Corpus:
    def __init__(self, documents):
        tokens = np.frombuffer(b"".join(d.content + b"\0" for d in documents), dtype=np.uint8)
        self.train = self.tune = self.test = type("Text", (), {"tokens": tokens})


CRANFIELD = {
    "cran.all.1400": ".I 1\n.T\nwings .\n.A\nx\n.B\ny\n.W\nwings . lift\nand drag\n.I 2\n.T\n.A\n.B\n.W\n",
    "cran.qry": ".I 001\n.W\nwhat is\nlift\n.I 004\n.W\nwhat is drag\n",
    "cranqrel": "1 2 3 \n1 1 -1\n2 1 4 \n2 2 -1\n",
}
MEDLINE = {
    "MED.ALL": ".I 1\n.W\nthe lens  \n.I 2\n.W\nthe lung\n",
    "MED.QRY": ".I 1\n.W\n lungs\n",
    "MED.REL": "1 0 2 1\n",
}


@pytest.mark.parametrize(("name", "files"), [("cranfield", CRANFIELD), ("medline", MEDLINE)])
def test_published_collections_are_read(name, files, tmp_path, monkeypatch):
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    monkeypatch.setattr("allyouneed.data.registry.get", lambda *_, **__: tmp_path)
    data = open_data(name, "passages")
    assert data.name == name
    if name == "cranfield":
        assert data.passages == ["wings . wings . lift and drag", ""]
        assert data.test.texts == ["what is lift", "what is drag"]  # numbered by their order, not by .I
        assert data.test.judged == [{1: 1}, {0: 1}]
    else:
        assert data.passages == ["the lens", "the lung"]
        assert data.test.judged == [{1: 1}]
    assert len(data.train) == len(data.tune) == 0


def write_questions(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


@pytest.fixture
def own(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\nalpha\n\n# B\nbeta")
    (tmp_path / "docs" / "b.txt").write_text("gamma")
    return document_passages(tmp_path / "docs")


def test_questions_to_a_users_own_documents(own, tmp_path):
    assert own.places == ["a.md:2", "a.md:5", "b.txt:1"]
    lines = [{"query": "first?", "relevant": ["a.md"]}, "", {"query": "second?", "relevant": ["a.md", "b.txt"]}]
    asked = with_questions(own, write_questions(tmp_path / "q.jsonl", *lines))
    assert asked.test == Questions(["first?", "second?"], [{0: 1}, {0: 1, 1: 1}])
    assert asked.documents == [0, 0, 1]
    places = {"query": "third?", "relevant": ["a.md:5", "b.txt:1"]}
    by_place = with_questions(own, write_questions(tmp_path / "q.jsonl", places))
    assert by_place.test == Questions(["third?"], [{1: 1, 2: 1}])
    assert by_place.documents == []
    assert asked.passages == own.passages
    assert asked.version != own.version


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"q\.jsonl:2: not JSON"),
        ("[1]", r"q\.jsonl:2: expected"),
        ({"query": " ", "relevant": ["a.md"]}, r"q\.jsonl:2: no query"),
        ({"query": "x"}, r"q\.jsonl:2: relevant must list"),
        ({"query": "x", "relevant": []}, r"q\.jsonl:2: relevant must list"),
        ({"query": "x", "relevant": ["c.md"]}, r"q\.jsonl:2: docs has no 'c\.md'"),
        ({"query": "x", "relevant": ["a.md", "b.txt:1"]}, r"q\.jsonl:2: name files or passages, not both"),
        ({"query": "x", "relevant": ["b.txt:1"]}, r"q\.jsonl:2: name files or passages, not both"),
    ],
)
def test_a_line_that_is_no_question_is_named(own, tmp_path, line, message):
    good = {"query": "x", "relevant": ["a.md"]}
    with pytest.raises(UserError, match=message):
        with_questions(own, write_questions(tmp_path / "q.jsonl", good, line))


def test_no_questions_and_no_text(own, tmp_path):
    with pytest.raises(UserError, match="has no questions"):
        with_questions(own, write_questions(tmp_path / "q.jsonl", ""))
    with pytest.raises(UserError, match="cannot read"):
        with_questions(own, tmp_path / "nowhere.jsonl")
    (tmp_path / "empty.md").write_text("\n\n")
    with pytest.raises(UserError, match="no text"):
        document_passages(tmp_path / "empty.md")


def test_a_collections_name_leads_to_it():
    assert isinstance(open_data("biographies", "passages"), Passages)


def test_a_part_of_a_collection_without_questions_is_all_of_it():
    collection = Passages("mine", ["a", "b"], places=["x.md:1", "x.md:3"])
    assert collection.part(1, 1, 1) is collection
