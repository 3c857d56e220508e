"""Text classifiers against scikit-learn, scorers that have not seen what they score, and their ranking."""

import json

import numpy as np
import pytest

from allyouneed.agents.scorer import NGramScorer, auc, cross_fitted, fit_ngrams, folds_of
from allyouneed.agents.text_classifier import NGrams, TextClassifier, fit_logistic, fit_text_classifier

sklearn = pytest.importorskip("sklearn.linear_model")


@pytest.mark.parametrize(("n_classes", "l2"), [(2, 1e-2), (3, 1e-2), (4, 1.0), (2, 1.0)])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_logistic_regression_is_scikit_learns(n_classes, l2, scale):
    random = np.random.default_rng(n_classes)
    x = np.hstack([scale * random.normal(size=(60, 4)), np.ones((60, 1))])
    labels = np.append(np.arange(n_classes), random.integers(n_classes, size=60 - n_classes))
    ours = fit_logistic(x, labels, n_classes, l2)
    # Of two classes scikit-learn keeps the difference w of their weights, whose penalty is l2 / 4 |w|^2 here.
    strength = 1 / (l2 * 60) * (2 if n_classes == 2 else 1)
    theirs = sklearn.LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, labels)
    expected = theirs.coef_.T if n_classes > 2 else theirs.coef_.T * [-0.5, 0.5]
    # Both stop when gradients are small; 1e-4 of weights of about 1 is what that leaves.
    np.testing.assert_allclose(ours, expected, atol=2e-4)


def test_the_gradient_vanishes_at_the_fitted_weights():
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(50, 6)), random.integers(3, size=50)
    weights = fit_logistic(x, labels, 3, 0.1)
    p = np.exp(x @ weights)
    p /= p.sum(axis=1, keepdims=True)
    gradient = x.T @ (p - np.eye(3)[labels]) / 50 + 0.1 * weights
    assert np.abs(gradient).max() < 1e-5


@pytest.mark.parametrize(("labels", "l2"), [([], 1.0), ([0, 3], 1.0), ([0, -1], 1.0), ([0], 1.0), ([0, 1], 0.0)])
def test_what_cannot_be_fitted_is_refused(labels, l2):
    with pytest.raises(ValueError, match=r"labels|l2"):
        fit_logistic(np.ones((len(labels) if len(labels) != 1 else 2, 3)), np.array(labels, dtype=np.int64), 3, l2)


def test_n_grams_are_counted_and_rows_have_length_one():
    rows = NGrams(words=2, chars=0, n_features=1 << 16)(["a b a", "a b b", ""]).toarray()
    np.testing.assert_allclose((rows[:2, :-1] ** 2).sum(axis=1), 1)
    assert rows[:, -1].tolist() == [1, 1, 1]
    assert np.count_nonzero(rows[0, :-1]) == 4  # a, b, "a b", "b a"
    twice, once = np.log1p(2), np.log1p(1)
    expected = np.sort([twice, once, once, once]) / np.sqrt(twice**2 + 3 * once**2)
    np.testing.assert_allclose(np.sort(rows[0][rows[0] > 0])[:-1], expected)


def test_characters_tell_apart_what_words_do_not():
    assert (NGrams(words=1, chars=0)(["1+2"]) != NGrams(words=1, chars=0)(["2+1"])).nnz == 0
    assert (NGrams(words=0, chars=2)(["1+2"]) != NGrams(words=0, chars=2)(["2+1"])).nnz > 0


def test_of_a_long_text_the_end_is_read():
    features = NGrams(longest=10)
    assert (features(["x" * 50 + "what is it"]) != features(["y" * 50 + "what is it"])).nnz == 0


def test_a_classifier_learns_and_survives_json():
    texts = [f"gold {word} today" for word in ("rises", "falls", "rests") for _ in range(10)]
    labels = [0] * 10 + [1] * 10 + [2] * 10
    found = fit_text_classifier(texts, labels, 3)
    assert (found(texts).argmax(axis=1) == labels).all()
    again = TextClassifier.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_allclose(again(texts), found(texts), atol=1e-6)


QUERIES = [f"{a}{op}{b}=" for a in range(20) for b in range(10) for op in "+-"]
ANSWERS = [str(len(query)) for query in QUERIES]
RIGHT = np.array(["+" in query for query in QUERIES])


def test_a_scorer_learns_what_is_right_and_survives_json():
    scorer = fit_ngrams(QUERIES, ANSWERS, RIGHT)
    assert auc(scorer(QUERIES, ANSWERS), RIGHT) == 1.0
    again = NGramScorer.from_dict(json.loads(json.dumps(scorer.to_dict())))
    np.testing.assert_allclose(again(QUERIES, ANSWERS), scorer(QUERIES, ANSWERS), atol=1e-6)


@pytest.mark.parametrize("right", [True, False])
def test_a_scorer_of_only_right_or_only_wrong_answers_is_sure_and_finite(right):
    scores = fit_ngrams(QUERIES, ANSWERS, np.full(len(QUERIES), right))(QUERIES, ANSWERS)
    assert np.isfinite(scores).all()
    assert ((scores > 0.9) if right else (scores < 0.1)).all()


def test_no_answer_is_scored_by_who_has_seen_it():
    seen = []

    def fit(queries, answers, correct):
        seen.append(set(queries))
        return lambda asked, _: np.array([float(query in seen[-1]) for query in asked])

    folds = folds_of(len(QUERIES), 5, seed=0)
    assert (cross_fitted(fit, QUERIES, ANSWERS, RIGHT, folds) == 0).all()
    assert sorted(map(len, seen)) == [320] * 5


def test_noise_is_worth_nothing_cross_fitted_and_much_to_who_has_seen_it():
    random = np.random.default_rng(0)
    queries = ["".join(random.choice(list("abcdefgh"), 12)) for _ in range(300)]
    right = random.random(300) < 0.5
    scorer = fit_ngrams(queries, queries, right)
    assert auc(scorer(queries, queries), right) > 0.9
    assert auc(cross_fitted(fit_ngrams, queries, queries, right, folds_of(300, 5, 0)), right) == pytest.approx(
        0.5, abs=0.1
    )


def test_folds_are_even_and_drawn_by_seed():
    folds = folds_of(23, 5, seed=1)
    assert sorted(np.bincount(folds)) == [4, 4, 5, 5, 5]
    assert (folds == folds_of(23, 5, seed=1)).all()
    assert (folds != folds_of(23, 5, seed=2)).any()
    for n_folds in (1, 24):
        with pytest.raises(ValueError, match=r"n_folds"):
            folds_of(23, n_folds, seed=0)


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_counts_pairs(levels):
    random = np.random.default_rng(levels)
    scores, right = random.integers(levels, size=50).astype(float), random.random(50) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in scores[right] for b in scores[~right]]
    assert auc(scores, right) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert auc(scores, np.ones(50, dtype=bool)) == 0.5
