"""Scorers: how likely is it that a model's answer to a question is right?

FrugalGPT (Chen et al., arXiv:2305.05176, section 3): a cascade asks cheap models first and stops at an answer that a
learned scorer g(q, a) in [0, 1] trusts. There g is a DistilBERT fine-tuned for each model on "right or wrong".

What a scorer was fitted on it knows too well: thresholds chosen there promise more than they keep. `cross_fitted`
gives every question the score of a scorer that has not seen it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from allyouneed.agents.text_classifier import NGrams, TextClassifier, fit_text_classifier


class Scorer(Protocol):
    """g(q, a): the chance, in [0, 1], that each answer to its question is right."""

    def __call__(self, queries: Sequence[str], answers: Sequence[str]) -> Float[np.ndarray, "items"]: ...


Fit = Callable[[Sequence[str], Sequence[str], Bool[np.ndarray, "items"]], Scorer]
"""Makes a scorer of questions, answers, and which of these are right."""


@dataclass(frozen=True)
class NGramScorer:
    """A scorer by the n-grams of question and answer together."""

    classifier: TextClassifier

    def __call__(self, queries: Sequence[str], answers: Sequence[str]) -> Float[np.ndarray, "items"]:
        """The probability of "right"."""
        return self.classifier(_joined(queries, answers))[:, 1]

    def flops(self, query: str, answer: str) -> int:
        """What scoring one answer takes."""
        (text,) = _joined([query], [answer])
        return self.classifier.features.flops(text, n_classes=2)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return self.classifier.to_dict()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NGramScorer":
        """What `to_dict` described."""
        return cls(TextClassifier.from_dict(values))


def fit_ngrams(
    queries: Sequence[str],
    answers: Sequence[str],
    correct: Bool[np.ndarray, "items"],
    *,
    features: NGrams = NGrams(),
    l2: float = 1e-4,
) -> NGramScorer:
    """The n-gram scorer of some answers. Raises ValueError for none."""
    labels = np.asarray(correct).astype(np.int64)
    return NGramScorer(fit_text_classifier(_joined(queries, answers), labels.tolist(), 2, features=features, l2=l2))


def ngrams(features: NGrams = NGrams(), l2: float = 1e-4) -> Fit:
    """How to fit an n-gram scorer with these settings."""
    return partial(fit_ngrams, features=features, l2=l2)


def folds_of(n: int, n_folds: int, seed: int) -> Int[np.ndarray, "items"]:
    """A fold for each of n items, drawn by seed, equal in size up to one. Raises ValueError if they cannot be."""
    if not 2 <= n_folds <= n:
        raise ValueError(f"n_folds must lie in 2..{n}, the number of questions; got {n_folds}")
    return np.random.default_rng(seed).permutation(np.arange(n) % n_folds)


def cross_fitted(
    fit: Fit,
    queries: Sequence[str],
    answers: Sequence[str],
    correct: Bool[np.ndarray, "items"],
    folds: Int[np.ndarray, "items"],
) -> Float[np.ndarray, "items"]:
    """The score of every answer by a scorer fitted on all other folds."""
    scores = np.empty(len(queries))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold).tolist(), np.flatnonzero(folds != fold).tolist()
        scorer = fit([queries[i] for i in outside], [answers[i] for i in outside], correct[outside])
        scores[inside] = scorer([queries[i] for i in inside], [answers[i] for i in inside])
    return scores


def auc(scores: Float[np.ndarray, "items"], correct: Bool[np.ndarray, "items"]) -> float:
    """The chance that a right answer is scored above a wrong one, a tie as half; 0.5 where there is only one kind."""
    right = np.asarray(correct, dtype=bool)
    n_right, n_wrong = int(right.sum()), int((~right).sum())
    if not n_right or not n_wrong:
        return 0.5
    return float((rankdata(scores)[right].sum() - n_right * (n_right + 1) / 2) / (n_right * n_wrong))


def _joined(queries: Sequence[str], answers: Sequence[str]) -> list[str]:
    return [f"Q: {query}\nA: {answer}" for query, answer in zip(queries, answers, strict=True)]
