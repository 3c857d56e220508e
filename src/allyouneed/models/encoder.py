"""The encoder: a stack in which every token sees every other."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.models.config import EncoderConfig, StackConfig
from allyouneed.models.stack import Stack


class Encoder(Stack):
    """A bidirectional model: the logits at a position are for that position's own token. It keeps no state."""

    causal: ClassVar[bool] = False
    config: EncoderConfig

    def _build(self, config: StackConfig) -> None:
        super()._build(config)
        n_types, pooler = self.config.n_token_types, self.config.pooler
        self.token_types = nn.Embedding(n_types, config.d_model) if n_types else None
        self.pooler = None if pooler is None else pooler.build(config.sizes)

    def embed(
        self, tokens: Int[Tensor, "batch seq"], token_types: Int[Tensor, "batch seq"] | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """The vectors of tokens and of the parts of the text that they belong to.

        token_types: the part of each token, counted from 0; all are of part 0 unless given. A text of two parts is
        read by `encoder(encoder.embed(tokens, token_types), mask)`. Raises ValueError if the model tells none apart.
        """
        x = super().embed(tokens)
        if self.token_types is None:
            if token_types is not None:
                raise ValueError("this model tells no token types apart: its n_token_types is 0")
            return x
        return x + self.token_types(torch.zeros_like(tokens[:1, :1]) if token_types is None else token_types)

    def pooled(
        self, hidden: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "batch seq"] | None = None
    ) -> Float[Tensor, "batch channels"]:
        """One vector a row, of what `hidden` gave. Raises ValueError for a model without a pooler."""
        if self.pooler is None:
            raise ValueError("this model has no pooler; `blocks.mean_pool` needs none")
        return self.pooler(hidden, mask)
