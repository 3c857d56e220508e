"""Texts as hashed n-grams, and multinomial logistic regression on them: a classifier of texts in milliseconds.

    p(class | text) = softmax(W x),   W = argmin mean cross-entropy + l2 / 2 |W|^2

x: the text's n-grams, hashed into `n_features` columns (Weinberger et al., arXiv:0902.2206), as logarithms of counts
in a row of length 1, and a column of ones.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax, softmax

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class NGrams:
    """Which n-grams of a text count: of up to `words` words and of up to `chars` characters, in lower case.

    longest: characters of a text that are read, its end before its beginning: questions end with what is asked.
    """

    words: int = 2
    chars: int = 3
    n_features: int = 1 << 13
    longest: int = 1000

    def __call__(self, texts: Sequence[str]) -> csr_matrix:
        """A row a text, a column a feature and the last of ones."""
        columns, values = zip(*(_row(self, text) for text in texts)) if texts else ((), ())
        ends = np.cumsum([0, *map(len, columns)])
        joined = [np.concatenate(parts) if parts else np.empty(0) for parts in (values, columns)]
        return csr_matrix((*joined, ends), shape=(len(texts), self.n_features + 1))

    def flops(self, text: str, n_classes: int) -> int:
        """Multiplications and additions that classifying a text takes; the hashing counts one for each n-gram."""
        return (2 * n_classes + 1) * len(_row(self, text)[0])

    def grams(self, text: str) -> Iterator[str]:
        """The n-grams of a text, as often as they occur."""
        text = text[-self.longest :].lower()
        words = _WORD.findall(text)
        for n in range(1, self.words + 1):
            yield from (f"w{' '.join(words[i : i + n])}" for i in range(len(words) - n + 1))
        for n in range(1, self.chars + 1):
            yield from (f"c{text[i : i + n]}" for i in range(len(text) - n + 1))


@lru_cache(maxsize=1 << 15)  # cross-fitting reads the same texts again and again
def _row(features: NGrams, text: str) -> tuple[Int[np.ndarray, "found"], Float[np.ndarray, "found"]]:
    """Columns and values of a text, the one for all texts last."""
    found = Counter(zlib.crc32(gram.encode()) % features.n_features for gram in features.grams(text))
    columns = np.fromiter(found, dtype=np.int64, count=len(found))
    values = np.log1p(np.fromiter(found.values(), dtype=np.float64, count=len(found)))
    length = np.linalg.norm(values) or 1.0
    return np.append(columns, features.n_features), np.append(values / length, 1.0)


@dataclass(frozen=True, eq=False)
class TextClassifier:
    """Classes of texts; `weights` has a row for each column of the features."""

    features: NGrams
    weights: Float[np.ndarray, "columns classes"]

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "texts classes"]:
        """The probability of each class."""
        return softmax(self.features(texts) @ self.weights, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; weights in float32, those that are 0 left out."""
        weights = self.weights.astype(np.float32)
        kept = np.flatnonzero(weights.any(axis=1))
        rows = {str(row): [float(f"{value:.7g}") for value in weights[row]] for row in kept}
        return {"features": asdict(self.features), "n_classes": weights.shape[1], "weights": rows}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TextClassifier":
        """What `to_dict` described. Raises KeyError, TypeError, ValueError or IndexError for anything else."""
        features = NGrams(**values["features"])
        weights = np.zeros((features.n_features + 1, int(values["n_classes"])))
        for row, of_row in values["weights"].items():
            weights[int(row)] = of_row
        return cls(features, weights)


def fit_text_classifier(
    texts: Sequence[str], labels: Sequence[int], n_classes: int, *, features: NGrams = NGrams(), l2: float = 1e-4
) -> TextClassifier:
    """The classifier of some labelled texts; labels are 0 .. n_classes - 1.

    Raises ValueError for no text, or labels out of range.
    """
    return TextClassifier(features, fit_logistic(features(texts), np.asarray(labels, dtype=np.int64), n_classes, l2))


def fit_logistic(
    x: csr_matrix | Float[np.ndarray, "items columns"], labels: Int[np.ndarray, "items"], n_classes: int, l2: float
) -> Float[np.ndarray, "columns classes"]:
    """The weights that minimise mean cross-entropy in nats + l2 / 2 |W|^2, by L-BFGS; convex, so there are no others.

    Raises ValueError for no item, labels out of range, or an l2 that is not positive.
    """
    n = len(labels)
    if n == 0 or n != x.shape[0] or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"expected {x.shape[0]} labels in 0..{n_classes - 1}, one at least; got {labels}")
    if not l2 > 0:
        raise ValueError(f"l2 must be above 0, got {l2}")
    # What never occurs keeps the weight 0; without it, rows of hashed features are a hundred times as short.
    seen = np.flatnonzero(np.asarray(abs(x).sum(axis=0)).ravel())
    inner, shape, rows = x[:, seen], (len(seen), n_classes), np.arange(n)

    def loss(flat: Float[np.ndarray, "weights"]) -> tuple[float, Float[np.ndarray, "weights"]]:
        weights = flat.reshape(shape)
        log_p = log_softmax(inner @ weights, axis=1)
        error = np.exp(log_p)
        error[rows, labels] -= 1
        gradient = inner.T @ error / n + l2 * weights
        return float(-log_p[rows, labels].mean() + l2 / 2 * flat @ flat), gradient.ravel()

    start = np.zeros(len(seen) * n_classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-6})
    weights = np.zeros((x.shape[1], n_classes))
    weights[seen] = found.x.reshape(shape)
    return weights
