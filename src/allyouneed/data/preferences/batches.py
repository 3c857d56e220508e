"""Preference pairs as tokens: two texts that begin alike, of which the first is preferred, in batches to learn from.

Rows are padded on the right. What a causal model makes of real tokens does not depend on that, so no mask is needed.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.data.batch import IGNORE
from allyouneed.data.pairs.batches import Ragged
from allyouneed.data.preferences.preferences import PreferencePair
from allyouneed.data.stream import NumberedStream
from allyouneed.tokenizers.answers import answer_tokens, prompt_tokens, shared_start
from allyouneed.tokenizers.checkpoint import CheckpointTokenizer

Scored = tuple[Sequence[int], Sequence[bool]]
"""A text as tokens, and which of them belong to the answer that is judged."""


@dataclass(frozen=True)
class PreferenceBatch:
    """Of each pair the preferred text stands at 0, the other at 1 of the second axis.

    `targets[..., i]` is the token that follows `tokens[..., i]`, or -100 where it belongs to no judged answer.
    `reference` holds the log-probabilities of the answers under the reference policy, in nats, where they were made
    beforehand.
    """

    tokens: Int[Tensor, "pairs 2 seq"]
    targets: Int[Tensor, "pairs 2 seq"]
    reference: Float[Tensor, "pairs 2"] | None = None


@dataclass(frozen=True, eq=False)
class EncodedPreferences:
    """Pairs as tokens; made by `encode_preferences`. Rows 2i and 2i + 1 are pair i, the preferred text first."""

    tokens: Ragged
    scored: Ragged
    reference: Float[np.ndarray, "pairs 2"] | None = None

    def __len__(self) -> int:
        return len(self.tokens.lengths) // 2

    @property
    def answer_lengths(self) -> Int[np.ndarray, "pairs 2"]:
        """Judged tokens of each text."""
        rows = np.repeat(np.arange(len(self.scored.lengths)), self.scored.lengths)
        return np.bincount(rows, weights=self.scored.tokens).astype(np.int64).reshape(-1, 2)

    def with_reference(self, reference: Float[np.ndarray, "pairs 2"]) -> "EncodedPreferences":
        """The same pairs with log-probabilities of their answers under the reference policy."""
        return replace(self, reference=reference)

    def at(self, pairs: Int[np.ndarray, "batch"]) -> PreferenceBatch:
        """These pairs as a batch."""
        rows = np.stack([2 * pairs, 2 * pairs + 1], axis=1).ravel()
        tokens, _ = self.tokens.padded(rows)
        scored, _ = self.scored.padded(rows)  # padding is 0 here, too
        targets = np.where(scored[:, 1:] > 0, tokens[:, 1:], IGNORE)
        shape = (len(pairs), 2, -1)
        reference = None if self.reference is None else torch.from_numpy(self.reference[pairs])
        return PreferenceBatch(
            torch.from_numpy(tokens[:, :-1].reshape(shape)), torch.from_numpy(targets.reshape(shape)), reference
        )

    def batches(self, batch_size: int) -> Iterator[PreferenceBatch]:
        """All pairs once, in their order."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        return (
            self.at(np.arange(first, min(first + batch_size, len(self)))) for first in range(0, len(self), batch_size)
        )

    def stream(self, batch_size: int, seed: int) -> "PreferenceStream":
        """Endless batches, every pair once in each epoch."""
        return PreferenceStream(self, batch_size, seed)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a limit on the length has done to pairs.

    kept: the places of those that are there. n_cut: of how many the prompt has lost its beginning. longest: the
    tokens of the longest text, which is the limit that would have kept everything.
    """

    kept: Int[np.ndarray, "kept"]
    n_cut: int
    n_left_out: int
    longest: int


def encode_preferences(pairs: Sequence[tuple[Scored, Scored]]) -> EncodedPreferences:
    """Pairs (preferred, other) of texts as tokens. Raises ValueError for none, and for a text of which no token is
    judged, or whose first one is: nothing comes before it to predict it from."""
    if not pairs:
        raise ValueError("there is no pair")
    for place, pair in enumerate(pairs):
        for tokens, scored in pair:
            if len(tokens) != len(scored):
                raise ValueError(f"pair {place} has {len(tokens)} tokens and {len(scored)} marks of what is judged")
            if not any(scored) or scored[0]:
                raise ValueError(f"pair {place} needs a judged token, and one before the first of them")
    texts = [text for pair in pairs for text in pair]
    return EncodedPreferences(Ragged.of([text[0] for text in texts]), Ragged.of([text[1] for text in texts]))


class PreferenceStream(NumberedStream[PreferenceBatch]):
    """Endless batches. Every epoch is shuffled anew; a batch may hold the end of one and the beginning of the next."""

    def __init__(self, pairs: EncodedPreferences, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.pairs = pairs

    def draw(self, n: int) -> PreferenceBatch:
        """The pairs at places n * batch_size and on in the epochs laid end to end."""
        places = np.arange(n * self.batch_size, (n + 1) * self.batch_size)
        epochs = places // len(self.pairs)
        orders = {epoch: self.random(epoch).permutation(len(self.pairs)) for epoch in np.unique(epochs)}
        return self.pairs.at(np.array([orders[e][p % len(self.pairs)] for e, p in zip(epochs, places)]))

    def source(self) -> str:
        """How many pairs, and a checksum of their tokens and reference."""
        pairs = self.pairs
        arrays = [pairs.tokens.tokens, pairs.tokens.lengths, pairs.scored.tokens]
        arrays += [] if pairs.reference is None else [pairs.reference]
        return f"{len(pairs)} preferences ({zlib.crc32(b''.join(part.tobytes() for part in arrays)):08x})"


def encode_texts(
    pairs: Sequence[PreferencePair], tokenizer: CheckpointTokenizer, max_len: int
) -> tuple[EncodedPreferences, Fitted]:
    """Pairs as a checkpoint's tokenizer and template write them, of at most `max_len` tokens each.

    Answers are never cut: where a text is longer, the prompt of both loses its beginning, and a pair of which an
    answer leaves no room for a token before it is left out. Raises ValueError if no pair is left, UserError for a
    conversation that the template refuses.
    """
    written = [judged_tokens(tokenizer, pair) for pair in pairs]
    fitted = {place: cut for place, pair in enumerate(written) if (cut := _fitted(pair, max_len)) is not None}
    if not fitted:
        raise ValueError(f"of {len(pairs)} pairs none has answers that fit into {max_len} tokens behind a prompt")
    too_long = [place for place, pair in enumerate(written) if _length(pair) > max_len]
    return encode_preferences(list(fitted.values())), Fitted(
        kept=np.array(list(fitted)),
        n_cut=sum(place in fitted for place in too_long),
        n_left_out=len(pairs) - len(fitted),
        longest=max(map(_length, written)),
    )


def judged_tokens(tokenizer: CheckpointTokenizer, pair: PreferencePair) -> tuple[Scored, Scored]:
    """Both texts of a pair; judged are the last answers, with their ends."""

    def judged(chat: dict[str, Any]) -> Scored:
        tokens, scored = answer_tokens(tokenizer, chat)
        if "messages" in chat:  # an earlier answer of the assistant belongs to the prompt here
            asked = prompt_tokens(tokenizer, chat)
            border = shared_start(asked, tokens)
            scored = [place >= border and mark for place, mark in enumerate(scored)]
        return tokens, scored

    chosen, rejected = pair.chats
    return judged(chosen), judged(rejected)


def _fitted(pair: tuple[Scored, Scored], max_len: int) -> tuple[Scored, Scored] | None:
    """The pair without as much of its prompt's beginning as is too much; None if no prompt would be left."""
    cut = max(0, _length(pair) - max_len)
    (tokens, scored), (others, others_scored) = pair
    if cut >= min(list(scored).index(True), list(others_scored).index(True)):
        return None
    return (tokens[cut:], scored[cut:]), (others[cut:], others_scored[cut:])


def _length(pair: tuple[Scored, Scored]) -> int:
    return max(len(tokens) for tokens, _ in pair)
