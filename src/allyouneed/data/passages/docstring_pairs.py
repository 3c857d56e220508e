"""Real questions and passages that every install has: the first sentence of a docstring, and all the rest of it.

Whoever wrote the summary had the rest in mind, so that each summary is a query with one passage that is certainly
relevant. They are those of `corpora.english_prose`, split by file as there.
"""

import hashlib
import re
from collections.abc import Iterator

from allyouneed.data.passages.passages import Passages, Questions
from allyouneed.data.text.corpora import english_prose
from allyouneed.data.text.corpus import Text

N_TRAIN, N_TUNE, N_TEST = 2400, 200, 350
SUMMARY, BODY = range(4, 31), 20  # words: a summary's number of them, and a body's least
LONGEST = 100  # words of a body that are kept
_UNDERLINE = re.compile(r"^[-=~^]{3,}$", re.MULTILINE)


def docstring_pairs() -> Passages:
    """2,950 of these pairs: 2,400 to train on, 200 to tune, 350 to test; one passage a docstring."""
    corpus = english_prose()
    splits = [
        _some(_pairs(text), n) for text, n in ((corpus.train, N_TRAIN), (corpus.tune, N_TUNE), (corpus.test, N_TEST))
    ]
    passages = [body for pairs in splits for _, body in pairs]
    questions, first = [], 0
    for pairs in splits:
        questions.append(Questions([q for q, _ in pairs], [{first + place: 1} for place in range(len(pairs))]))
        first += len(pairs)
    train, tune, test = questions
    return Passages("docstring_pairs", passages, train, tune, test)


def _pairs(text: Text) -> Iterator[tuple[str, str]]:
    """Summary and body of each docstring that has both."""
    for docstring in text.tokens.tobytes().decode("utf-8").split("\0"):
        summary, _, body = docstring.strip().partition("\n\n")
        words = _UNDERLINE.sub("", body).split()
        if len(summary.split()) in SUMMARY and len(words) >= BODY:
            yield " ".join(summary.split()), " ".join(words[:LONGEST])


def _some(pairs: Iterator[tuple[str, str]], n: int) -> list[tuple[str, str]]:
    """n of them by the hash of the summary, no summary and no body twice."""
    by_body = {body: summary for summary, body in dict(pairs).items()}
    return sorted(((summary, body) for body, summary in by_body.items()), key=_hash)[:n]


def _hash(pair: tuple[str, str]) -> bytes:
    return hashlib.sha256(pair[0].encode()).digest()
