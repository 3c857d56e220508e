"""The decoder: a stack that reads from left to right and can go on from where it stopped."""

from typing import ClassVar, cast

from jaxtyping import Bool, Float, Int
from torch import Tensor

from allyouneed.blocks.context import Memory, Past
from allyouneed.blocks.protocols import Sublayer
from allyouneed.models.config import DecoderConfig
from allyouneed.models.products import fast_products
from allyouneed.models.stack import Stack
from allyouneed.models.state import DecoderState


class Decoder(Stack):
    """A causal language model: the logits at a position are for the token after it."""

    causal: ClassVar[bool] = True
    config: DecoderConfig

    def new_state(self, batch_size: int, memory: Memory | None = None) -> DecoderState:
        """The state before the first token, on the model's device and in its precision.

        memory: what the layers read at every step, of as many rows.
        """
        weight = self.embedding.weight
        layers = [
            layer.new_state(batch_size, weight.device, weight.dtype) for layer in cast(list[Sublayer], self.layers)
        ]
        return DecoderState(batch_size, Past.none(weight.device), layers, memory)

    def step(
        self, tokens: Int[Tensor, "batch seq"], state: DecoderState, mask: Bool[Tensor, "batch seq"] | None = None
    ) -> tuple[Float[Tensor, "batch vocab"], DecoderState]:
        """Read on by one token or many: logits for the token that follows the last, and the state behind it."""
        with fast_products(tokens.numel(), self.config.d_model, self.embedding.weight):
            hidden = self.hidden(tokens, mask, state=state)
            return self.head(hidden[:, -1]), state
