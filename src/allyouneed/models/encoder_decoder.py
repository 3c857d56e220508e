"""The encoder-decoder: one stack reads the source, the other writes the target while it looks at what was read.

Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, section 3. The paper's own stacks are

    positions=Sinusoidal(), residual=PostNorm(), mixer=Attention(bias=True), feedforward=Relu()

with cross=CrossAttention(bias=True) in the decoder; its one matrix for both embeddings and the head (section
3.4) is share_embeddings with the decoder's tie_embeddings.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.blocks.context import Memory, Record
from allyouneed.models.config import DecoderConfig, EncoderConfig
from allyouneed.models.decoder import Decoder
from allyouneed.models.encoder import Encoder
from allyouneed.models.stack import drawn_from
from allyouneed.models.state import DecoderState

Source = Int[Tensor, "batch source"] | Float[Tensor, "batch source d_model"]
Target = Int[Tensor, "batch target"] | Float[Tensor, "batch target d_model"]


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig:
    """An encoder, and a decoder that reads what it gives.

    share_embeddings: source and target are of one vocabulary and have one embedding.
    start_token: what every target begins with when nothing of it is given.

    Raises ValueError for stacks that do not fit one another.
    """

    encoder: EncoderConfig
    decoder: DecoderConfig
    share_embeddings: bool = True
    start_token: int = 0

    def __post_init__(self) -> None:
        encoder, decoder = self.encoder, self.decoder
        if decoder.cross is None:
            raise ValueError("the decoder reads no memory: give its config a cross, such as CrossAttention()")
        if encoder.d_model != decoder.d_model:
            raise ValueError(
                f"the decoder reads the encoder's vectors: d_model must be one for both, "
                f"got {encoder.d_model} and {decoder.d_model}"
            )
        if self.share_embeddings and encoder.vocab_size != decoder.vocab_size:
            raise ValueError(
                f"vocabularies of {encoder.vocab_size} and {decoder.vocab_size} tokens cannot share an embedding: "
                "give both one vocab_size, or share_embeddings=False"
            )
        if not encoder.tie_embeddings:
            raise ValueError("the encoder's head is never used: leave its tie_embeddings True, so that it has none")


class EncoderDecoder(nn.Module):
    """A model of a target given a source: the logits at a target position are for the token after it.

    Weights are drawn as a stack's are, by their names in this model.
    """

    checkpoint: Any = None  # what it was read from

    def __init__(self, config: EncoderDecoderConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        with drawn_from(seed, self):
            self.encoder = Encoder(config.encoder, seed=None)
            self.decoder = Decoder(config.decoder, seed=None)
            if config.share_embeddings:
                self.decoder.share_embedding(self.encoder.embedding)

    def encode(
        self, tokens: Source, mask: Bool[Tensor, "batch source"] | None = None, record: Record | None = None
    ) -> Memory:
        """What the decoder reads of a source; mask: True at its real tokens."""
        return Memory(self.encoder.hidden(tokens, mask, record=record), mask)

    def hidden(
        self,
        tokens: Source,
        decoder_tokens: Target,
        mask: Bool[Tensor, "batch source"] | None = None,
        decoder_mask: Bool[Tensor, "batch target"] | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "batch target d_model"]:
        """What enters the head.

        tokens, decoder_tokens: the source and the target; or vectors in place of their embeddings.
        mask, decoder_mask: True at the real tokens of each; padding may stand anywhere and is never looked at.
        record: filled by the blocks of both stacks, first the encoder's.
        """
        memory = self.encode(tokens, mask, record)
        return self.decoder.hidden(decoder_tokens, decoder_mask, record=record, memory=memory)

    def head(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """Logits over the target's vocabulary."""
        return self.decoder.head(hidden)

    def forward(
        self,
        tokens: Source,
        decoder_tokens: Target,
        mask: Bool[Tensor, "batch source"] | None = None,
        decoder_mask: Bool[Tensor, "batch target"] | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Logits at every position of the target; the arguments are those of `hidden`."""
        return self.head(self.hidden(tokens, decoder_tokens, mask, decoder_mask, record))

    def new_state(self, tokens: Source, mask: Bool[Tensor, "batch source"] | None = None) -> DecoderState:
        """The state before the first token of the target. The source is read here, and never again."""
        return self.decoder.new_state(len(tokens), self.encode(tokens, mask))

    def begin(
        self, tokens: Source, mask: Bool[Tensor, "batch source"] | None = None
    ) -> tuple[Int[Tensor, "batch 1"], DecoderState]:
        """What to write on from, given a source: the start token of each row, and the state before it."""
        start = torch.full((len(tokens), 1), self.config.start_token, device=tokens.device)
        return start, self.new_state(tokens, mask)

    def step(
        self, tokens: Int[Tensor, "batch seq"], state: DecoderState, mask: Bool[Tensor, "batch seq"] | None = None
    ) -> tuple[Float[Tensor, "batch vocab"], DecoderState]:
        """Read on in the target: logits for the token that follows the last, and the state behind it."""
        return self.decoder.step(tokens, state, mask)
