"""Logs of answers on file: round trips, splits, and every kind of bad line."""

import gzip
import json

import numpy as np
import pytest

from allyouneed.data import kind_of, open_data, registry
from allyouneed.data.answers.answers import log_of
from allyouneed.data.answers.files import answers_file, read_log, write_log
from allyouneed.data.answers.public import _table
from allyouneed.data.datasets import Dataset, File
from allyouneed.errors import UserError


def line(query="What?", **changes):
    answers = {
        "small": {"text": "a", "cost": 1, "correct": True},
        "large": {"text": "b", "cost": 2.5, "correct": False},
    }
    return {"query": query, "answers": answers} | changes


def write(path, *lines):
    path.write_text("".join((text if isinstance(text, str) else json.dumps(text)) + "\n" for text in lines))
    return path


def test_a_log_survives_its_file(tmp_path):
    rows = [
        {
            "query": f"q{i} ✓",
            "group": "g",
            "gold": "a",
            "answers": {m: {"text": f"{m}{i}", "cost": i * 0.1, "correct": i % 2 == 0, "score": 0.5} for m in "xyz"},
        }
        for i in range(5)
    ]
    log = log_of("xyz", rows)
    write_log(tmp_path / "log.jsonl", log)
    again = read_log(tmp_path / "log.jsonl")
    assert (again.models, again.queries, again.texts, again.groups, again.gold) == (
        log.models,
        log.queries,
        log.texts,
        log.groups,
        log.gold,
    )
    for name in ("costs", "correct", "scores"):
        np.testing.assert_array_equal(getattr(again, name), getattr(log, name))
    assert again.of_model(1)[:2] == ("y0", "y1")
    assert [json.loads(text) for text in again.rows([3]).lines()] == [rows[3]]


def test_models_may_stand_in_any_order_and_empty_lines_do_not_count(tmp_path):
    turned = line()
    turned["answers"] = dict(reversed(turned["answers"].items()))
    log = read_log(write(tmp_path / "log.jsonl", line(), "", turned))
    assert log.texts == (("a", "b"), ("a", "b"))
    assert log.costs.tolist() == [[1, 2.5], [1, 2.5]]
    assert log.correct.tolist() == [[True, False], [True, False]]
    assert log.scores is None


BAD = {
    "no JSON": ("{", "not JSON"),
    "not UTF-8": ("", "not UTF-8"),
    "a list": ("[]", "expected a JSON object"),
    "no query": (line(query=" "), "expected a line"),
    "no answers": (line(answers={}), "it has no answers"),
    "other models": (
        line(answers={"small": {"text": "a", "cost": 1, "correct": True}}),
        "first line has those of small",
    ),
    "no object": (line(answers={"small": 3}), "the answer of 'small' is no object"),
    "no cost": (line(answers={"small": {"text": "a", "correct": True}}), "has no cost"),
    "cost below 0": (line(answers={"small": {"cost": -1, "correct": True}}), "has no cost"),
    "cost NaN": ('{"query": "q", "answers": {"small": {"cost": NaN, "correct": true}}}', "has no cost"),
    "cost true": (line(answers={"small": {"cost": True, "correct": True}}), "has no cost"),
    "not right or wrong": (line(answers={"small": {"cost": 1, "correct": "yes"}}), 'has no "correct"'),
    "text": (line(answers={"small": {"text": 3, "cost": 1, "correct": True}}), "a text that is none"),
    "score": (line(answers={"small": {"cost": 1, "correct": True, "score": "high"}}), "a score that is no number"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_with_its_file(tmp_path, name):
    content, match = BAD[name]
    path = write(tmp_path / "log.jsonl", line(), line(), content)
    if name == "not UTF-8":
        path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    with pytest.raises(UserError, match=match) as caught:
        read_log(path)
    assert f"log.jsonl:{4 if name == 'not UTF-8' else 3}: " in str(caught.value)


def test_files_that_hold_nothing_are_named(tmp_path):
    with pytest.raises(UserError, match=r"empty.jsonl has no line"):
        read_log(write(tmp_path / "empty.jsonl"))
    with pytest.raises(UserError, match=r"cannot read .*gone.jsonl"):
        read_log(tmp_path / "gone.jsonl")


def test_splits_go_by_the_question_and_share_none(tmp_path):
    path = write(tmp_path / "log.jsonl", *(line(f"question {i % 400}") for i in range(600)))
    answers = open_data(str(path), "answers")
    sizes = [len(split) for split in (answers.train, answers.tune, answers.test)]
    assert sum(sizes) == 600
    assert np.abs(np.array(sizes) / 600 - [0.5, 0.1, 0.4]).max() < 0.08
    splits = [set(split.queries) for split in (answers.train, answers.tune, answers.test)]
    assert not (splits[0] & splits[1] | splits[0] & splits[2] | splits[1] & splits[2])
    assert answers.version == answers_file(path).version
    write(path, *(line(f"question {i}") for i in range(600)))
    assert answers.version != answers_file(path).version


def test_too_few_questions_are_an_error(tmp_path):
    with pytest.raises(UserError, match=r"too few questions \(1\)"):
        answers_file(write(tmp_path / "log.jsonl", line()))


# Public data, as their files are


@pytest.fixture
def public(tmp_path, monkeypatch):
    """The data sets as they are, with small files of the same form in their place."""
    import hashlib

    mmlu = 'prompt,weak,strong\n"Which, of\nA. these?",True,False\n' + "".join(f"q{i},False,True\n" for i in range(60))
    lines = ["Q: Gold up, silver down\nA:|up|7", *(f"Q: headline {i}\nA:|none|{i}" for i in range(60))]
    news = "".join('"{}",{},{}\n'.format(*text.split("|")) for text in lines)
    files = {"routellm": ("mmlu_responses/mmlu_law.csv", mmlu), "frugalgpt": ("train.csv", news)}
    sets = []
    for name, (path, content) in files.items():
        target = tmp_path / name / f"{path}.gz"
        target.parent.mkdir(parents=True)
        target.write_bytes(gzip.compress(content.encode()))
        pin = hashlib.sha256(content.encode()).hexdigest()
        sets.append(Dataset(name, (File(path, "http://127.0.0.1:9/none", len(content.encode()), pin),), "", ""))
    monkeypatch.setenv("ALLYOUNEED_DATA", str(tmp_path))
    monkeypatch.setenv("ALLYOUNEED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "DATASETS", tuple(sets))


def test_routellms_tables_become_a_log_with_prices_and_subjects(public):
    answers = open_data("routellm", "answers")
    logs = [answers.train, answers.tune, answers.test]
    found = {q: (log, i) for log in logs for i, q in enumerate(log.queries)}
    log, i = found["Which, of\nA. these?"]
    assert log.models == ("mixtral-8x7b", "gpt-4-1106")
    assert log.correct[i].tolist() == [True, False]
    assert log.groups[i] == "law"
    n_tokens = 5  # of 19 bytes
    np.testing.assert_allclose(log.costs[i], [0.24e-6 * (n_tokens + 1), 1e-5 * n_tokens + 3e-5])
    assert len(found) == 61


def test_headlines_are_questions_that_nobody_was_asked(public):
    answers = open_data("headlines", "answers")
    logs = [answers.train, answers.tune, answers.test]
    gold = {q: g for log in logs for q, g in zip(log.queries, log.gold)}
    assert gold["Gold up, silver down"] == "up"
    assert len(gold) == 61
    assert answers.train.models == ()
    assert answers.train.costs.shape == (len(answers.train), 0)
    assert kind_of("headlines") == kind_of("routellm") == "answers"


def test_a_table_with_ragged_rows_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1\n")
    with pytest.raises(UserError, match=r"its rows differ in length"):
        _table(tmp_path / "t.csv")
