"""Translation by recurrent networks: what the transformer was measured against.

A bidirectional GRU (Cho et al., 2014, arXiv:1406.1078) reads the source; another, which starts from what the first
ended with, writes the target. At each step the writer looks back at the source in one of two ways:

    GlobalAttention   softmax(h_t^T W s) s: all that was read, weighed
                      (Luong, Pham and Manning, 2015, arXiv:1508.04025, section 3.1, the score "general")
    FinalState        the reader's last state, at every step the same (Cho et al., section 2.2)

and predicts from tanh(W [look; h_t]) (Luong et al., equation 5). The look is not fed into the next step, so that
training runs the writer over the whole target at once, as fast as PyTorch's GRU goes.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from allyouneed.blocks.context import Memory, Record
from allyouneed.models.stack import drawn_from


@runtime_checkable
class LookConfig(Protocol):
    """Builds how the writer looks back."""

    def build(self, d_model: int) -> nn.Module: ...


@dataclass(frozen=True)
class GlobalAttention:
    """A look at all that was read."""

    def build(self, d_model: int) -> nn.Module:
        """One matrix between the writer's states and the reader's."""
        return _GlobalAttention(d_model)


@dataclass(frozen=True)
class FinalState:
    """A look at the last state only."""

    def build(self, d_model: int) -> nn.Module:
        """No weights."""
        return _FinalState()


@dataclass(frozen=True, kw_only=True)
class GRUTranslatorConfig:
    """Sizes of reader and writer, which are alike; one matrix is both embeddings and the head.

    dropout: of embeddings, between the layers of each GRU, and of what enters the head.

    Raises ValueError for an odd d_model: the reader has one half of it for each direction.
    """

    vocab_size: int
    look: LookConfig
    d_model: int = 64
    n_layers: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.d_model % 2:
            raise ValueError(f"d_model must be even, half for each direction of reading; got {self.d_model}")


@dataclass(frozen=True, eq=False)
class GRUState:
    """What the writer remembers: its own state, and what was read. Reading on gives a new one."""

    hidden: Float[Tensor, "layers batch d_model"]
    memory: Memory
    last: Float[Tensor, "batch d_model"]
    lengths: Int[Tensor, "batch"]

    def select(self, rows: Int[Tensor, "rows"]) -> "GRUState":
        """The given rows, in that order, repeated where `rows` repeats them."""
        return GRUState(self.hidden[:, rows], self.memory.select(rows), self.last[rows], self.lengths[rows])


class GRUTranslator(nn.Module):
    """Reads and writes as an `EncoderDecoder` does, by recurrence. Sources are padded on the right.

    Weights are drawn from `seed`; PyTorch's global generator is left alone, unless `seed` is None.
    """

    def __init__(self, config: GRUTranslatorConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        with drawn_from(seed, self):
            d_model, n_layers = config.d_model, config.n_layers
            between = config.dropout if n_layers > 1 else 0.0
            self.embedding = nn.Embedding(config.vocab_size, d_model)
            self.reader = nn.GRU(d_model, d_model // 2, n_layers, batch_first=True, dropout=between, bidirectional=True)
            self.writer = nn.GRU(d_model, d_model, n_layers, batch_first=True, dropout=between)
            self.look = config.look.build(d_model)
            self.join = nn.Linear(2 * d_model, d_model)
            self.dropout = nn.Dropout(config.dropout)

    def new_state(
        self, tokens: Int[Tensor, "batch source"], mask: Bool[Tensor, "batch source"] | None = None
    ) -> GRUState:
        """The state before the first token of the target. Raises ValueError unless padding stands on the right."""
        lengths = torch.full((len(tokens),), tokens.shape[1]) if mask is None else mask.sum(1).cpu()
        if mask is not None and not bool(mask.cummin(1).values.eq(mask).all() and mask[:, 0].all()):
            raise ValueError("a source must begin with a real token and be padded on the right")
        packed = pack_padded_sequence(self._embedded(tokens), lengths, batch_first=True, enforce_sorted=False)
        read, last = self.reader(packed)
        vectors, _ = pad_packed_sequence(read, batch_first=True, total_length=tokens.shape[1])
        last = last.unflatten(0, (-1, 2)).transpose(1, 2).flatten(2).contiguous()  # both directions of each layer
        return GRUState(last, Memory(vectors, mask), last[-1], torch.zeros_like(tokens[:, 0]))

    def step(
        self, tokens: Int[Tensor, "batch seq"], state: GRUState, mask: None = None
    ) -> tuple[Float[Tensor, "batch vocab"], GRUState]:
        """Read on in the target: logits for the token that follows the last, and the state behind it."""
        hidden, state = self._write(tokens, state)
        return self._head(hidden[:, -1]), state

    def forward(
        self,
        tokens: Int[Tensor, "batch source"],
        decoder_tokens: Int[Tensor, "batch target"],
        mask: Bool[Tensor, "batch source"] | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Logits at every position of the target. record: gets "cross_attention", if this looks by attention."""
        hidden, _ = self._write(decoder_tokens, self.new_state(tokens, mask), record)
        return self._head(hidden)

    def _write(
        self, tokens: Int[Tensor, "batch seq"], state: GRUState, record: Record | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], GRUState]:
        states, hidden = self.writer(self._embedded(tokens), state.hidden)
        joined = self.join(torch.cat((self.look(states, state, record), states), dim=-1)).tanh()
        return self.dropout(joined), replace(state, hidden=hidden, lengths=state.lengths + tokens.shape[1])

    def _embedded(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        """Of deviation 1, where the matrix as the head has 1 / sqrt(d_model)."""
        return self.dropout(math.sqrt(self.config.d_model) * self.embedding(tokens))

    def _head(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        return F.linear(hidden, self.embedding.weight)


class _GlobalAttention(nn.Module):
    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.score = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self, states: Float[Tensor, "batch seq d_model"], state: GRUState, record: Record | None
    ) -> Float[Tensor, "batch seq d_model"]:
        vectors, valid = state.memory.vectors, state.memory.valid
        scores = self.score(states) @ vectors.transpose(1, 2)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None], -torch.inf)
        weights = scores.softmax(-1)
        if record is not None:
            record.setdefault("cross_attention", []).append(weights[:, None])
        return weights @ vectors


class _FinalState(nn.Module):
    def forward(
        self, states: Float[Tensor, "batch seq d_model"], state: GRUState, record: Record | None
    ) -> Float[Tensor, "batch seq d_model"]:
        return state.last[:, None].expand_as(states)
