"""Generated problems: right answers, disjoint splits, streams that resume."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.data.tasks import Arithmetic, Copying, exact_match

TASKS = [Arithmetic(99), Arithmetic(30, ops=("+", "-", "*")), Arithmetic(10**6, ops=("*",)), Copying(5), Copying(40, 4)]
small_tasks = st.sampled_from(TASKS)


def rows(task, batch):
    return [task.tokenizer.decode(row) for row in batch.tokens.tolist()]


def test_the_answers_of_arithmetic_are_right():
    task = Arithmetic(500, ops=("+", "-", "*"))
    seen = set()
    for row in rows(task, next(task.train(300, seed=0))):
        prompt, answer = row.strip().split("=")
        assert eval(prompt) == int(answer)
        seen.update(set(prompt) & set("+-*"))
    assert seen == set("+-*")


def test_the_answer_of_copying_is_the_prompt():
    task = Copying(6, n_symbols=3)
    for row in rows(task, next(task.train(50, seed=0))):
        first, second = row.split("|")
        assert first == second
        assert len(first) == 6
        assert set(first) <= set("abc")


@given(small_tasks, st.integers(0, 1000))
def test_exactly_the_answer_and_the_end_are_scored(task, seed):
    batch = next(task.train(4, seed))
    assert batch.tokens.shape == batch.targets.shape == batch.mask.shape == (4, task.length)
    for tokens, targets, mask in zip(batch.tokens, batch.targets, batch.mask):
        row, scored = task.tokenizer.decode(tokens.tolist()), targets[targets != -100].tolist()
        assert task.tokenizer.decode(scored) == row.rstrip(" \n").split("|" if "|" in row else "=")[1] + "\n"
        n_valid = int(mask.sum())
        assert mask[:n_valid].all()
        assert set(row[n_valid:]) <= {" ", "\n"}
        first = int((targets != -100).nonzero()[0])
        assert torch.equal(targets[first : n_valid - 1], tokens[first + 1 : n_valid])


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_no_problem_lies_in_two_splits(task):
    train = set(rows(task, next(task.train(2000, seed=1))))
    tune = [row for batch in task.tune(100) for row in rows(task, batch)]
    test = [row for batch in task.test(100) for row in rows(task, batch)]
    assert len(tune) == len(set(tune)) > 10
    assert len(test) == len(set(test)) > 10
    assert not train & set(tune)
    assert not train & set(test)
    assert not set(tune) & set(test)


def test_a_sum_and_the_same_sum_turned_round_share_a_split():
    task = Arithmetic(30)
    held_out = {row.split("=")[0] for split in (task.tune(512), task.test(512)) for b in split for row in rows(task, b)}
    turned = {"+".join(reversed(problem.split("+"))) for problem in held_out}
    stream = task.train(512, seed=0)
    trained = {row.split("=")[0] for _ in range(20) for row in rows(task, next(stream))}
    assert len(trained) > 800
    assert not turned & trained


def test_held_out_problems_are_always_the_same():
    first, second = ([rows(TASKS[1], batch) for batch in TASKS[1].test(64)] for _ in range(2))
    assert first == second
    assert sum(len(batch) for batch in first) <= 512


def test_a_resumed_stream_continues_as_if_never_stopped():
    task = Arithmetic(99)
    whole = task.train(8, seed=3)
    next(whole)
    resumed = task.train(8, seed=3)
    resumed.load_state_dict(whole.state_dict())
    for _ in range(3):
        assert torch.equal(next(resumed).tokens, next(whole).tokens)


def test_exact_match_counts_only_what_is_scored():
    targets = torch.tensor([[-100, 1, 2], [-100, 1, 2], [3, -100, -100]])
    predictions = torch.tensor([[9, 1, 2], [9, 1, 3], [3, 0, 0]])
    assert exact_match(predictions, targets).tolist() == [True, False, True]


def test_a_space_too_small_to_hold_something_out_is_an_error():
    with pytest.raises(ValueError, match=r"Copying\(n_letters=1, n_symbols=2\) has too few problems"):
        [*Copying(1, 2).tune(8), *Copying(1, 2).test(8)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Arithmetic(0), "max_value must be at least 1, got 0"),
        (lambda: Arithmetic(9, ops=("/",)), r"\+, -, \*, got \('/',\)"),
        (lambda: Copying(0), "n_letters must be at least 1, got 0"),
        (lambda: Copying(3, 99), r"2\.\.52, got 99"),
        (lambda: Copying(3).train(0, 0), "batch_size must be at least 1, got 0"),
        (lambda: Copying(3).train(1, -1), "got -1"),
    ],
)
def test_misuse_names_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
