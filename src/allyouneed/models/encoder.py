"""The encoder: a stack in which every token sees every other."""

from typing import ClassVar

from allyouneed.models.config import EncoderConfig
from allyouneed.models.stack import Stack


class Encoder(Stack):
    """A bidirectional model: the logits at a position are for that position's own token. It keeps no state."""

    causal: ClassVar[bool] = False
    config: EncoderConfig
