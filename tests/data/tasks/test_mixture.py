"""Mixtures of tasks, sums in words, and problems of a split."""

import numpy as np
import pytest

from allyouneed.data.tasks import Arithmetic, Copying, Mixture, SpelledArithmetic

TASKS = (Arithmetic(99, ("+", "-")), SpelledArithmetic(20), Copying(5, 4))


def words(task, batch):
    return [task.tokenizer.decode(row.tolist()) for row in batch.tokens]


def test_problems_are_drawn_by_weight_and_read_as_their_own_task_reads_them():
    task = Mixture(TASKS, (1, 2, 1))
    drawn = task.draw(4000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn[:, 0]) / 4000, [0.25, 0.5, 0.25], atol=0.03)
    texts = {i: {task.text(row) for row in drawn[drawn[:, 0] == i]} for i in range(3)}
    assert all(set("+-") & set(prompt) for prompt, _ in texts[0])
    assert all(" plus " in prompt for prompt, _ in texts[1])
    assert all(prompt == f"{answer}|" for prompt, answer in texts[2])


def test_a_mixture_of_one_holds_the_same_problems_out_as_any_other():
    alone, mixed = Mixture(TASKS, (0, 1, 0)), Mixture(TASKS, (1, 1, 1))
    assert alone.tokenizer == mixed.tokenizer
    held_out = {mixed.text(row) for row in mixed.sample("test", 300, 0)}
    drawn = alone.train(64, seed=1)
    met = {text.rstrip() for _ in range(20) for text in words(alone, next(drawn))}
    assert not {prompt + answer for prompt, answer in held_out} & met
    assert all("plus" in text for text in met)


def test_a_task_of_weight_nought_takes_no_padding():
    assert Mixture(TASKS, (1, 0, 0)).length == TASKS[0].length
    assert Mixture(TASKS, (1, 1, 0)).length == TASKS[1].length


@pytest.mark.parametrize("weights", [(1, 1), (1, -1, 1), (0, 0, 0)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match=r"weight"):
        Mixture(TASKS, weights)


def test_sums_in_words_are_those_in_digits():
    task = SpelledArithmetic(99, ("+", "-", "*"))
    assert task.text(np.array([0, 42, 7])) == ("forty-two plus seven=", "49")
    assert task.text(np.array([1, 7, 42])) == ("seven minus forty-two=", "-35")
    assert task.text(np.array([2, 12, 12])) == ("twelve times twelve=", "144")
    rows = task.draw(2000, np.random.default_rng(0))
    longest = max(len("".join(task.text(row))) for row in rows)
    assert longest <= task.length
    for row in rows[:200]:  # every character has a token
        task.tokenizer.encode("".join(task.text(row)))


def test_a_sample_is_of_its_split_and_follows_its_seed():
    task = Arithmetic(99)
    tune, test, again = (
        {tuple(row) for row in task.identity(task.sample(split, 400, seed))}
        for split, seed in (("tune", 0), ("test", 0), ("test", 0))
    )
    assert test == again
    assert not tune & test
    assert len(task.sample("tune", 7, 3)) == 7
    assert (task.sample("tune", 50, 3) != task.sample("tune", 50, 4)).any()
    with pytest.raises(ValueError, match=r"too few problems to draw"):
        Copying(1, 2).sample("test", 5, 0)  # two problems, both of train
