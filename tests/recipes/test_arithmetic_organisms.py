"""The calculators: their batches, their prices, and the log of what they answer."""

import numpy as np
import pytest

from allyouneed.clients import Request
from allyouneed.data.tasks import Mixture
from allyouneed.lab.trials.run import Run
from allyouneed.models.flops import flops_a_token
from allyouneed.recipes import arithmetic_organisms as recipe

TINY = tuple(recipe.Organism(name, 8, 1, (1, 1, 1, 1), 2, 1e-2, batch_size=4) for name in ("one", "two"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("organisms")
    return Run(folder, 0, "cpu", None, folder)


def test_sizes_and_prices_are_about_those_that_the_paper_of_prices_wants():
    prices = [recipe.price(organism.config()).c_in for organism in recipe.ORGANISMS]
    assert 30 < prices[-1] / prices[0] < 60
    assert prices == sorted(prices)
    config = recipe.ORGANISMS[0].config()
    assert float(prices[0]) == round(flops_a_token(config, config.max_seq_len / 2))


def test_batches_are_of_one_task_each_by_weight_and_go_on_where_they_stopped():
    stream = recipe.Turns((1, 0, 2, 1), 3, seed=5)
    widths = [next(stream).tokens.shape[1] for _ in range(200)]
    lengths = [Mixture(recipe.TASKS, recipe._only(i)).length for i in range(4)]
    assert set(widths) == {lengths[0], lengths[2], lengths[3]}
    assert np.mean(np.array(widths) == lengths[3]) == pytest.approx(0.25, abs=0.08)
    again = recipe.Turns((1, 0, 2, 1), 3, seed=5)
    again.load_state_dict(stream.state_dict())
    assert (next(stream).tokens == next(again).tokens).all()
    with pytest.raises(ValueError, match=r"another source"):
        recipe.Turns((1, 1, 2, 1), 3, seed=5).load_state_dict(stream.state_dict())


def test_the_log_says_what_each_would_answer_alone_and_what_that_took(run):
    folder = run.artifact(recipe.organism_answers, split="test", n=12, seed=3, organisms=TINY)
    log = recipe.read_answers(folder)
    assert (log.models, len(log)) == (("one", "two"), 12)
    clients = recipe.open_organisms(run.artifact(recipe.arithmetic_organisms, organisms=TINY), log.models)
    for i, query in enumerate(log.queries):
        for k, client in enumerate(clients.values()):
            answer = client.complete(Request(query, max_new_tokens=max(map(len, log.gold)) + 1, logprobs=True))
            assert log.texts[i][k] == answer.text
            assert log.correct[i, k] == (answer.text == log.gold[i])
            tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens
            assert log.costs[i, k] == tokens * float(recipe.price(client.model.config).c_in)
            assert log.scores[i, k] == pytest.approx(np.exp(sum(answer.logprobs)), rel=1e-4)


def test_questions_follow_the_seed_and_the_splits_share_none(run):
    clients = recipe.open_organisms(run.artifact(recipe.arithmetic_organisms, organisms=TINY), ["one"])
    tune, test, other = (
        set(recipe.asked(clients, split, 40, seed).queries) for split, seed in (("tune", 0), ("test", 0), ("test", 1))
    )
    assert not tune & test
    assert test != other


def test_a_shorter_training_is_the_same_otherwise():
    short = recipe.shortened(recipe.ORGANISMS, 0.01)
    assert [o.max_steps for o in short] == [max(1, round(o.max_steps / 100)) for o in recipe.ORGANISMS]
    assert [o.name for o in short] == ["small", "medium", "large"]
