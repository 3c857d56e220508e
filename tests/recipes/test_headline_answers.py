"""Local models for HEADLINES: the rule, what costs what, and the log that they leave."""

import numpy as np
import pytest

from allyouneed.agents.text_classifier import NGrams
from allyouneed.data.answers.answers import log_of
from allyouneed.recipes.headline_answers import CLASSES, answered, n_grams, rule

SAID = {
    "Gold rises on weak dollar": "up",
    "gold FALLS for third day": "down",
    "Gold steady ahead of Fed": "neutral",
    "Illegal gold mine found": "none",
    "Golden shower of awards": "none",
}


def test_the_rule_goes_by_its_words_and_guesses_none_where_there_is_none():
    asked = rule(tuple(SAID))
    assert [CLASSES[i] for i in asked.p.argmax(axis=1)] == list(SAID.values())
    assert asked.p.max(axis=1).tolist() == [0.9, 0.9, 0.9, 0.5, 0.5]
    assert asked.flops.tolist() == [5, 5, 5, 4, 4]


def test_the_log_holds_answers_confidence_and_cost():
    gold = log_of((), [{"query": query, "gold": gold} for query, gold in SAID.items()])
    labels = np.array([CLASSES.index(name) for name in SAID.values()])
    models = {"rule": rule, "words": n_grams(tuple(SAID), labels, NGrams(words=1, chars=0))}
    log = answered(models, gold)
    assert log.models == ("rule", "words")
    assert log.gold == gold.gold
    assert log.correct[:, 0].all()
    assert (log.costs[:, 1] > log.costs[:, 0]).all()
    assert log.scores[:, 0].tolist() == pytest.approx([0.9, 0.9, 0.9, 0.5, 0.5])
    assert all(text in CLASSES for texts in log.texts for text in texts)
    assert log.costs[0, 1] == 9 * 6  # five words and the column of ones, four classes and a hash
