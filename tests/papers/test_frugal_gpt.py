"""What the study of frugal_gpt rests on besides the library: its policies, its settings, and its cache."""

from types import SimpleNamespace

import numpy as np
import pytest

from allyouneed.data.answers.answers import in_splits, log_of
from allyouneed.lab.trials.run import Run
from allyouneed.papers.frugal_gpt import study

SCALE = study.study.scale("laptop", None, "some logs")
MODELS = ("small", "large")


@pytest.fixture(scope="module")
def data():
    """The small model can do sums and none else, the large one nine of ten questions; half are sums."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(1200):
        op = "+-"[i % 2]
        right = {"small": op == "+", "large": bool(random.random() < 0.9)}
        costs = {"small": 1e-4, "large": 1e-3}
        answers = {m: {"text": "a", "cost": costs[m], "correct": right[m], "score": random.random()} for m in MODELS}
        rows.append(
            {"query": f"{random.integers(10**6)} {op} {random.integers(10**6)}", "group": op, "answers": answers}
        )
    return in_splits("made", log_of(MODELS, rows))


def measured(arm, data, folder):
    return study.policy(arm, 0, SCALE, Run(folder, 0, "cpu", data, folder))


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    arms = ["best single", *study.CASCADES, *study.ROUTERS, "oracle"]
    return {arm: measured(arm, data, tmp_path_factory.mktemp("run")) for arm in arms}


def test_the_cascade_asks_the_small_model_first_and_trusts_its_sums(found, data):
    cascade, best = found["cascade"], found["best single"]
    assert best["saving_cost"] == pytest.approx(1)
    # The small one is right on every sum, so half of the questions cost a tenth; the rest cost both.
    assert cascade["best_cost"] == pytest.approx(0.6, abs=0.05)
    assert cascade["best_accuracy"] == pytest.approx(0.95, abs=0.02)
    assert cascade["saving_cost"] <= cascade["best_cost"]
    assert cascade["saving_accuracy"] == pytest.approx(best["saving_accuracy"], abs=0.04)
    assert cascade["saving_over_coin"] > 0.15
    assert cascade["auc"] > 0.95
    assert len(cascade["saving_right"]) == len(data.test)


def test_a_router_pays_for_one_model_and_a_group_is_all_there_is_to_know_here(found):
    for arm in ("router", "group prior"):
        assert found[arm]["best_cost"] == pytest.approx(0.55, abs=0.05)
        assert found[arm]["best_accuracy"] == pytest.approx(0.95, abs=0.02)


def test_confidence_that_says_nothing_gains_nothing(found):
    assert found["max-prob"]["auc"] == pytest.approx(0.5, abs=0.06)
    assert found["max-prob"]["half_over_coin"] < 0.05


def test_nobody_beats_the_oracle(found):
    for arm, values in found.items():
        assert values["best_accuracy"] <= found["oracle"]["best_accuracy"], arm


def test_half_of_the_cost_is_kept_and_the_curve_rises(found):
    for arm in ("cascade", "router"):
        assert found[arm]["half_cost"] == pytest.approx(0.55, abs=0.05)
        cost, accuracy = (np.array(found[arm][f"curve_{name}"]) for name in ("cost", "accuracy"))
        assert (np.diff(cost) > -1e-5).all()
        assert accuracy[-1] > accuracy[0] + 0.2


def test_a_coin_that_costs_as_much_as_one_model_is_that_model(found):
    assert found["best single"]["saving_over_coin"] == pytest.approx(0, abs=1e-12)


def test_costs_in_operations_pay_for_the_scorer(data):
    train = data.train.rows(range(200))
    dear = log_of(
        MODELS,
        [
            {"query": q, "answers": {m: {"text": "a", "cost": 1e6, "correct": bool(c)} for m, c in zip(MODELS, right)}}
            for q, right in zip(train.queries, train.correct)
        ],
    )
    folds = np.arange(200) % 5
    known, new = study.cross(dear, dear, folds)
    assert (known.scoring > 100).all()
    assert (known.scoring == new.scoring).all()
    assert study.cross(train, train, folds)[0].scoring is None


def test_shares_of_a_group_count_one_question_as_in_all(data):
    known = SimpleNamespace(correct=np.array([[1, 0], [1, 0], [0, 1]]), groups=("a", "a", "b"))
    new = SimpleNamespace(groups=("a", "b", "c"))
    whole = np.array([2 / 3, 1 / 3])
    expected = [(2 * np.array([1, 0]) + whole) / 3, (np.array([0, 1]) + whole) / 2, whole]
    np.testing.assert_allclose(study.shares(known, new), expected)


def test_without_knowing_the_right_answers_trivial_is_the_cheapest_model(data):
    assert study.trivial(data.train, data.test) == pytest.approx(data.test.correct[:, 0].mean())


def test_the_cache_of_the_same_text_is_never_wrong_and_a_loose_one_is(tmp_path):
    scale = study.study.scale("smoke")
    exact, loose = (study.remember(arm, 0, scale, None) for arm in (None, 0.7))
    assert exact["wrong_hits"] == 0
    assert loose["hits"] > exact["hits"]
    assert loose["wrong_hits"] > 0.1
    answer = study.Knows().complete(study.Request(study.WORDINGS[2].format(a=12, b=30)))
    assert answer.text == "42"
