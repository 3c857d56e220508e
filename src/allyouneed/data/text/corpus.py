"""A corpus: text as tokens, in three splits that share no document.

Train is for learning, tune for choosing (learning rates, gates), test for the claims alone.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Int

from allyouneed.data.ngram import ngram_loss
from allyouneed.tokenizers.protocol import Tokenizer

if TYPE_CHECKING:
    from allyouneed.data.text.windows import Windows


@dataclass(frozen=True, eq=False)
class Text:
    """One split: a run of integer tokens, usually mapped from a file and never wholly in memory."""

    tokens: Int[np.ndarray, "total"]

    def __len__(self) -> int:
        return len(self.tokens)

    def windows(self, length: int, score_last: int | None = None) -> "Windows":
        """Windows of `length` inputs, each with the token that follows as its target.

        With `score_last` only the last so many targets of a window are scored: equal for two lengths, it makes
        `batches` score the same tokens for both. Raises ValueError if the text is shorter than one window.
        """
        from allyouneed.data.text.windows import Windows  # brings torch, which opening a corpus does not need

        return Windows(self.tokens, length, score_last)


@dataclass(frozen=True, eq=False)
class Corpus:
    """A named text in three splits; `version` is the sha256 (hex) of its content."""

    unit: ClassVar[str] = "bytes"  # what the length of a split counts
    least: ClassVar[int] = 512  # of them in a split: no window would fit into less

    name: str
    version: str
    train: Text
    tune: Text
    test: Text
    tokenizer: Tokenizer

    @property
    def vocab_size(self) -> int:
        """One more than the largest token that may occur."""
        return self.tokenizer.vocab_size

    @cached_property
    def trigram_loss(self) -> float:
        """Nats per token that a trigram model of the train split loses on the tune split: the least that a model
        which looks further back should beat."""
        return ngram_loss(self.train.tokens, self.tune.tokens, order=3, vocab_size=self.vocab_size)
