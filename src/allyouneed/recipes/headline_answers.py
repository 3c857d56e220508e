"""Four local models of different cost answer HEADLINES: what a news headline says of the gold price.

| model | what it looks at | operations a headline, about |
| --- | --- | --- |
| rule | a dozen words | 10 |
| words | which words occur | 150 |
| n-grams | pairs of words and up to five letters in a row | 4,000 |
| minilm | MiniLM's vector of the headline, and the n-grams | 400,000,000 |

They learn from one half of the train split, so that their answers to the other half are as good as those to new
headlines; scorers and thresholds are fitted there.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_matrix, hstack
from scipy.special import softmax

from allyouneed.agents.text_classifier import NGrams, fit_logistic, fit_text_classifier
from allyouneed.data.answers.answers import Answers, Log, log_of
from allyouneed.data.answers.files import read_log, write_log
from allyouneed.models import EncoderConfig
from allyouneed.models.flops import flops_a_token
from allyouneed.models.hub import load, tokenizer
from allyouneed.recipes.minilm import PACKAGES as PACKAGES
from allyouneed.recipes.minilm import minilm
from allyouneed.retrieval.text_encoder import TextEncoder

CLASSES = ("up", "down", "neutral", "none")
_RULES = (
    ("up", r"\b(up|rises?|rose|gains?|jumps?|climbs?|surges?|soars?|higher|rall(y|ies)|adds?|advances?|rebounds?)\b"),
    ("down", r"\b(down|falls?|fell|drops?|loses?|slips?|declines?|lower|tumbles?|sheds?|slides?|dips?|weak)\b"),
    ("neutral", r"\b(steady|flat|unchanged|stable|little changed|rangebound)\b"),
)


@dataclass(frozen=True)
class Asked:
    """One model's answers to some headlines: the probability of each class, and what each headline took."""

    p: Float[np.ndarray, "headlines classes"]
    flops: Float[np.ndarray, "headlines"]


Answerer = Callable[[Sequence[str]], Asked]


def headline_answers(run: Any) -> None:
    """A recipe: fits the models on half of `run.data.train` and writes what they answer to the rest, a file a split."""
    data: Answers = run.data
    learn, rest = data.train.rows(range(0, len(data.train), 2)), data.train.rows(range(1, len(data.train), 2))
    labels = np.array([CLASSES.index(gold) for gold in learn.gold])
    models = {
        "rule": rule,
        "words": n_grams(learn.queries, labels, NGrams(words=1, chars=0)),
        "n-grams": n_grams(learn.queries, labels, NGrams(words=2, chars=5)),
        "minilm": vectors(learn.queries, labels, run.device, run.heartbeat),
    }
    for name, split in {"train": rest, "tune": data.tune, "test": data.test}.items():
        write_log(run.dir / f"{name}.jsonl", answered(models, split))


def read_answers(folder: Path) -> Answers:
    """The logs that the recipe wrote, in their splits."""
    return Answers("headlines", *(read_log(folder / f"{split}.jsonl") for split in ("train", "tune", "test")))


def answered(models: dict[str, Answerer], split: Log) -> Log:
    """What the models answer, with their confidence: the probability of the class that they name."""
    rows: list[dict[str, Any]] = [
        {"query": query, "gold": gold, "answers": {}} for query, gold in zip(split.queries, split.gold)
    ]
    for name, model in models.items():
        asked = model(split.queries)
        for row, p, cost in zip(rows, asked.p, asked.flops):
            text = CLASSES[int(p.argmax())]
            row["answers"][name] = {
                "text": text,
                "cost": float(cost),
                "correct": text == row["gold"],
                "score": float(p.max()),
            }
    return log_of(tuple(models), rows)


def rule(texts: Sequence[str]) -> Asked:
    """The first rule that finds one of its words is sure of itself; where none does, "none" is a guess."""
    p = np.full((len(texts), len(CLASSES)), 0.0)
    for row, text in enumerate(texts):
        found = next((name for name, pattern in _RULES if re.search(pattern, text.lower())), None)
        p[row, CLASSES.index(found or "none")] = 0.9 if found else 0.5
    return Asked(p, np.array([float(len(text.split())) for text in texts]))


def n_grams(texts: Sequence[str], labels: np.ndarray, features: NGrams) -> Answerer:
    """Logistic regression on n-grams."""
    classifier = fit_text_classifier(texts, labels.tolist(), len(CLASSES), features=features, l2=1e-4)

    def answer(texts: Sequence[str]) -> Asked:
        return Asked(classifier(texts), np.array([float(features.flops(text, len(CLASSES))) for text in texts]))

    return answer


def vectors(texts: Sequence[str], labels: np.ndarray, device: str, heartbeat: Callable[[], None]) -> Answerer:
    """Logistic regression on MiniLM's vectors beside the n-grams."""
    encode, tokens = TextEncoder(minilm(), device=device), tokenizer(minilm())
    config = cast(EncoderConfig, load(minilm(), device="cpu").config)
    features = NGrams(words=2, chars=5)

    def looked_at(texts: Sequence[str]) -> csr_matrix:
        found = encode(texts, progress=lambda n: heartbeat())
        return csr_matrix(hstack([csr_matrix(found.astype(np.float64)), features(texts)]))

    weights = fit_logistic(looked_at(texts), labels, len(CLASSES), l2=1e-4)

    def answer(texts: Sequence[str]) -> Asked:
        n_tokens = [len(tokens.encode(text, special=True)) for text in texts]
        flops = [n * flops_a_token(config, n) + features.flops(text, len(CLASSES)) for n, text in zip(n_tokens, texts)]
        return Asked(softmax(looked_at(texts) @ weights, axis=1), np.array(flops))

    return answer
