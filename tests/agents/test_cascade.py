"""A cascade of clients, its calibration from logs, what is kept of it on file, routing and the semantic cache."""

import json
from decimal import Decimal

import numpy as np
import pytest

from allyouneed.agents.budget import Logged
from allyouneed.agents.cache import SemanticCache
from allyouneed.agents.calibration import Rule, calibrate, choose_ngrams, cross_fitted_log, read_rule, write_rule
from allyouneed.agents.cascade import Cascade
from allyouneed.agents.routing import price_reaching, price_within, route
from allyouneed.agents.scorer import fit_ngrams, folds_of
from allyouneed.clients import Client, Completion, Metered, Price, Request, Usage, complete_all
from allyouneed.data.answers import Log
from allyouneed.errors import UserError


class Answers:
    """Gives one text to every question, and notes what it was asked."""

    def __init__(self, name, text):
        self.name, self.text, self.asked = name, text, []

    def complete(self, request):
        self.asked.append(request.text)
        return Completion(self.text, Usage(len(request.text), 2), model=self.name)


def by_length(queries, answers):
    """Trusts an answer the more the shorter the question."""
    return np.array([1 / len(query) for query in queries])


@pytest.fixture
def three():
    clients = {name: Answers(f"client of {name}", name) for name in ("small", "medium", "large")}
    prices = {"small": Price(Decimal(1), Decimal(0)), "medium": Price(Decimal(10), Decimal(5))}
    metered = {name: Metered(client, prices[name]) if name in prices else client for name, client in clients.items()}
    return clients, Cascade(metered, [by_length, by_length], [0.3, 0.1])


def test_an_answer_is_taken_from_the_first_client_whose_score_lies_above(three):
    clients, cascade = three
    assert isinstance(cascade, Client)
    asked = ["ab", "abcd", "a" * 20, "abc"]
    answers = complete_all(cascade, [Request(text) for text in asked])
    assert [answer.text for answer in answers] == ["small", "medium", "large", "small"]
    assert [answer.model for answer in answers] == ["small", "medium", "large", "small"]
    assert clients["small"].asked == asked
    assert clients["medium"].asked == ["abcd", "a" * 20]
    assert clients["large"].asked == ["a" * 20]


def test_cost_and_tokens_are_those_of_all_that_were_asked(three):
    _, cascade = three
    small, medium, large = (cascade.complete(Request("a" * n)) for n in (2, 4, 20))
    assert (small.cost, small.usage) == (Decimal(2), Usage(2, 2))
    assert (medium.cost, medium.usage) == (Decimal(4 + 40 + 10), Usage(8, 4))
    assert (large.cost, large.usage) == (Decimal(20 + 200 + 10), Usage(60, 6))


def test_a_score_at_the_threshold_is_not_above_it(three):
    clients, _ = three
    cascade = Cascade({name: clients[name] for name in ("small", "large")}, [by_length], [0.25])
    assert cascade.complete(Request("abcd")).text == "large"
    assert cascade.complete(Request("abc")).text == "small"


def test_one_client_alone_needs_no_scorer_and_others_need_theirs(three):
    clients, _ = three
    assert Cascade({"small": clients["small"]}, [], []).complete(Request("x")).text == "small"
    with pytest.raises(ValueError, match=r"2 clients need a scorer and a threshold less"):
        Cascade({"small": clients["small"], "large": clients["large"]}, [], [])


# Calibration


def made_log(n=240, seed=0):
    """Sums the small model can do, differences it cannot; the large one is right nine times in ten."""
    random = np.random.default_rng(seed)
    ops = random.choice(["+", "-"], size=n)
    queries = tuple(f"{random.integers(90)} {op} {random.integers(90)}" for op in ops)
    correct = np.stack([ops == "+", random.random(n) < 0.9], axis=1)
    costs = np.tile([1.0, 10.0], (n, 1))
    return Log(("small", "large"), queries, (("yes", "no"),) * n, costs, correct)


def test_calibration_finds_whom_to_trust():
    log = made_log()
    found = calibrate(log, lambda f: f.within(8.0))
    assert found.rule.models == ("small", "large")
    assert found.logged.follow(found.chain).cost.mean() <= 8.0
    # The small one on every sum, the large one on every difference: 1 or 11, half of each.
    assert found.expected.cost.mean() == pytest.approx(6.0, abs=0.6)
    assert found.expected.correct.mean() == pytest.approx(0.95, abs=0.03)
    cascade = found.rule.of({"small": Answers("a", "yes"), "large": Answers("b", "no")})
    assert [cascade.complete(Request(text)).model for text in ("3 + 80", "80 - 3")] == ["small", "large"]


def test_what_is_expected_does_not_know_the_answers():
    """On coin flips the chosen chain looks better than half; what is expected of it does not."""
    promised, expected = [], []
    for seed in range(3):
        log, random = made_log(120, seed), np.random.default_rng(seed)
        noise = Log(log.models, log.queries, log.texts, log.costs, random.random((120, 2)) < 0.5)
        found = calibrate(noise, lambda f: f.reaching(f.best), seed=seed)
        promised.append(found.logged.follow(found.chain).correct.mean())
        expected.append(found.expected.correct.mean())
    assert all(more > less for more, less in zip(promised, expected))
    assert np.mean(expected) == pytest.approx(0.5, abs=0.05)  # 360 flips: two standard errors, of draws that are fixed


def test_the_penalty_is_the_one_with_the_least_cross_fitted_loss():
    log = made_log(60)
    folds = folds_of(60, 5, 0)
    noise = Log(log.models, log.queries, log.texts, log.costs, np.random.default_rng(0).random((60, 2)) < 0.5)
    assert choose_ngrams(noise, folds).keywords["l2"] == 1e-2  # of nothing there is nothing to learn
    assert choose_ngrams(log, folds).keywords["l2"] < 1e-2
    assert cross_fitted_log(log, fit_ngrams, folds).scores.shape == (60, 2)


def test_a_budget_that_no_model_keeps_is_an_error_of_the_user():
    with pytest.raises(UserError, match=r"on 240 questions: no model costs as little as 0.5 .* the least is 1"):
        calibrate(made_log(), lambda f: f.within(0.5))
    with pytest.raises(UserError, match=r"n_folds must lie in 2\.\.3"):
        calibrate(made_log(3), lambda f: f.within(5.0))


def test_a_rule_survives_its_file(tmp_path):
    found = calibrate(made_log(), lambda f: f.within(8.0))
    write_rule(tmp_path / "cascade.json", found.rule, {"questions": 240})
    rule = read_rule(tmp_path / "cascade.json")
    assert (rule.models, rule.thresholds) == (found.rule.models, found.rule.thresholds)
    texts = ["3 + 80", "80 - 3"]
    np.testing.assert_allclose(
        rule.scorers[0](texts, ["yes"] * 2), found.rule.scorers[0](texts, ["yes"] * 2), atol=1e-6
    )


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("nonsense", "is no cascade: JSONDecodeError"),
        ("[]", "is no cascade"),
        ('{"cascade": 2}', "calibrate it anew"),
        ('{"cascade": 1, "models": ["a"]}', "KeyError"),
        ('{"cascade": 1, "models": ["a", "b"], "thresholds": [], "scorers": []}', "need a threshold"),
    ],
)
def test_files_that_hold_no_rule_are_named(tmp_path, content, match):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(UserError, match=match) as caught:
        read_rule(tmp_path / "c.json")
    assert "c.json" in str(caught.value)
    with pytest.raises(UserError, match=r"cannot read .*gone.json"):
        read_rule(tmp_path / "gone.json")


def test_a_model_without_a_client_is_named():
    with pytest.raises(UserError, match=r"asks small, large; no client is given for large"):
        Rule(("small", "large"), (0.5,), ()).of({"small": Answers("a", "yes")})


# Routing


def known(n=200):
    random = np.random.default_rng(1)
    scores = random.random((n, 3))
    correct = random.random((n, 3)) < scores
    return Logged(scores, correct, np.tile([1.0, 4.0, 20.0], (n, 1)))


def test_a_router_asks_one_model_by_score_less_price():
    logged = known()
    mean_cost = logged.costs.mean(axis=0)
    free, dear = route(logged, 0.0, mean_cost), route(logged, 10.0, mean_cost)
    assert (free.model == logged.scores.argmax(axis=1)).all()
    assert (dear.model == 0).all()
    middle = route(logged, 0.02, mean_cost)
    for i in range(20):
        assert middle.model[i] == np.argmax(logged.scores[i] - 0.02 * mean_cost)
        assert middle.cost[i] == mean_cost[middle.model[i]]


def test_prices_keep_the_budget_and_reach_the_accuracy():
    logged = known()
    mean_cost = logged.costs.mean(axis=0)
    accuracies = []
    for budget in (1.0, 4.0, 8.0, 20.0):
        paths = route(logged, price_within(logged, budget), mean_cost)
        assert paths.cost.mean() <= budget
        accuracies.append(paths.correct.mean())
    assert accuracies == sorted(accuracies)
    best = accuracies[-1]
    cheap = route(logged, price_reaching(logged, best - 0.1), mean_cost)
    assert cheap.correct.mean() >= best - 0.1
    assert cheap.cost.mean() < route(logged, price_reaching(logged, best), mean_cost).cost.mean()
    with pytest.raises(ValueError, match=r"no routing costs as little"):
        price_within(logged, 0.5)
    with pytest.raises(ValueError, match=r"no routing is right as often"):
        price_reaching(logged, 1.01)


# The semantic cache


def letters(texts):
    """Counts of a, b and c."""
    return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=float)


def test_what_is_close_enough_is_not_asked_again():
    client = Answers("a", "yes")
    cache = SemanticCache(Metered(client, Price(Decimal(1), Decimal(0))), letters, 0.9)
    for text in ("aab", "baa", "ab", "bbc", "aab"):
        cache.complete(Request(text))
    assert client.asked == ["aab", "bbc"]  # (1, 1) and (2, 1) have a cosine of 0.949
    assert (cache.hits, cache.asked) == (3, 2)
    kept = cache.complete(Request("aba"))
    assert (kept.kept, kept.cost, kept.text) == (True, 0, "yes")


def test_without_a_threshold_only_the_same_request_is_found():
    client = Answers("a", "yes")
    cache = SemanticCache(client, pytest.fail, None)
    for text in ("aab", "baa", "aab"):
        cache.complete(Request(text))
    assert client.asked == ["aab", "baa"]


def test_other_settings_share_nothing():
    client = Answers("a", "yes")
    cache = SemanticCache(client, letters, 0.5)
    for settings in ({}, {"seed": 1}, {"temperature": 1.0}):
        cache.complete(Request("aab", **settings))
    cache.complete(Request(({"role": "user", "content": "aab"},)))
    assert len(client.asked) == 4


def test_a_text_without_a_direction_is_close_to_nothing():
    client = Answers("a", "yes")
    cache = SemanticCache(client, letters, 0.1)
    for text in ("xyz", "zyx", "aaa"):
        cache.complete(Request(text))
    assert len(client.asked) == 3
    with pytest.raises(ValueError, match=r"a cosine lies in"):
        SemanticCache(client, letters, 1.5)


def test_a_rule_on_file_holds_no_text_of_the_logs(tmp_path):
    found = calibrate(made_log(), lambda f: f.within(8.0))
    write_rule(tmp_path / "cascade.json", found.rule, {"questions": 240})
    content = (tmp_path / "cascade.json").read_text()
    assert made_log().queries[0] not in content
    assert set(json.loads(content)) == {"cascade", "about", "models", "thresholds", "scorers"}
