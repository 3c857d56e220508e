"""cascade calibrate and cascade ask, from logs to an answer."""

import json

import numpy as np
import pytest

from allyouneed.clients import Completion, Recording, Request, Usage


class Says:
    """A client with one answer."""

    def __init__(self, name, text):
        self.name, self.text = name, text

    def complete(self, request):
        return Completion(self.text, Usage(10, 2), model=self.name)


QUESTIONS = ("is 3 + 4 even?", "is 80 - 3 even?")


@pytest.fixture
def logs(tmp_path):
    """The small model is right on sums, the large one nine times in ten."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        op = random.choice(["+", "-"])
        answers = {
            "small": {"text": "yes", "cost": 0.001, "correct": bool(op == "+")},
            "large": {"text": "no", "cost": 0.01, "correct": bool(random.random() < 0.9)},
        }
        lines.append({"query": f"is {random.integers(90)} {op} {random.integers(90)} even?", "answers": answers})
    path = tmp_path / "logs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def recorded(tmp_path):
    for name, text in {"small": "yes", "large": "no"}.items():
        client = Recording(Says(name, text), tmp_path / f"{name}.jsonl")
        for question in QUESTIONS:
            client.complete(Request(question))
            client.complete(Request(({"role": "user", "content": question},)))
    return [f"--client={name}=recorded:{tmp_path / name}.jsonl" for name in ("small", "large")]


def test_from_logs_to_an_answer(cli, logs, recorded, tmp_path):
    told = cli("cascade", "calibrate", str(logs), "--budget", "0.008")
    assert told.code == 0, told.err
    assert "ask small if its score >" in told.out
    assert "cascade, expected on new questions" in told.out
    assert "oracle" in told.out
    rule = str(tmp_path / "cascade.json")
    answers = [cli("cascade", "ask", rule, question, *recorded) for question in QUESTIONS]
    assert [answer.out for answer in answers] == ["yes\n", "no\n"]
    assert "small answered (10 tokens read, 2 written)" in answers[0].err
    assert "large answered (20 tokens read, 4 written)" in answers[1].err
    plain = cli("cascade", "ask", rule, QUESTIONS[1], *recorded, "--plain", "--json", "--price", "small=0.1,0.2")
    values = json.loads(plain.out)
    assert (values["text"], values["model"], values["cost"], values["usage"]) == ("no", "large", "1.4", [20, 4])


def test_json_has_all_that_is_told(cli, logs, tmp_path):
    told = json.loads(cli("cascade", "calibrate", str(logs), "--accuracy", "0.85", "--json", "--out", "c.json").out)
    assert told["chain"] == ["small", "large"]
    assert set(told["singles"]) == {"small", "large"}
    assert told["expected"]["low"] < told["expected"]["accuracy"] < told["expected"]["high"]
    assert told["mixture"]["cost"] == pytest.approx(told["expected"]["cost"])
    assert told["mixture"]["accuracy"] < told["expected"]["accuracy"] <= told["oracle"]["accuracy"]
    assert sum(told["answered by"].values()) == pytest.approx(1)
    assert (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["logs.jsonl"], 2, "give one of --budget and --accuracy"),
        (["logs.jsonl", "--budget", "1", "--accuracy", "1"], 2, "give one of"),
        (["logs.jsonl", "--budget", "0.0001"], 1, "no model costs as little as 0.0001 a question; the least is 0.001"),
        (["logs.jsonl", "--accuracy", "1"], 1, "no chain is right as often as 1.0000"),
        (["gone.jsonl", "--budget", "1"], 1, "cannot read gone.jsonl"),
        (["bad.jsonl", "--budget", "1"], 1, "bad.jsonl:2: not JSON"),
    ],
)
def test_bad_logs_and_options_are_named_and_nothing_is_written(cli, logs, tmp_path, words, code, said):
    first = logs.read_text().splitlines()[0]
    (tmp_path / "bad.jsonl").write_text(first + "\n{\n")
    answer = cli("cascade", "calibrate", *words)
    assert answer.code == code
    assert said in " ".join(answer.err.replace("│", " ").split())
    assert not (tmp_path / "cascade.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "who answers for small, large? Give --client small=local:DIR"),
        (["--client", "tiny=recorded:x"], "asks small, large; it has no model 'tiny'"),
        (["--client", "small=gpt", "--client", "large=gpt"], "names no client; it has one of the forms local:DIR"),
        (["RECORDED", "--price", "small=cheap"], "--price small=cheap: expected two numbers of at least 0"),
        (["RECORDED", "--price", "small=1,-1"], "expected two numbers of at least 0"),
    ],
)
def test_bad_clients_and_prices_are_named(cli, logs, recorded, words, said):
    cli("cascade", "calibrate", str(logs), "--budget", "0.008")
    words = [word for given in words for word in (recorded if given == "RECORDED" else [given])]
    answer = cli("cascade", "ask", "cascade.json", QUESTIONS[0], *words)
    assert answer.code == 1
    assert said in answer.err


def test_a_question_that_was_not_recorded_is_named(cli, logs, recorded):
    cli("cascade", "calibrate", str(logs), "--budget", "0.008")
    answer = cli("cascade", "ask", "cascade.json", "is 1 + 1 even?", *recorded)
    assert answer.code == 1
    assert "has no answer to this request" in answer.err
