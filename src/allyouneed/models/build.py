"""A model from its config."""

import torch

from allyouneed.models.config import DecoderConfig, EncoderConfig
from allyouneed.models.decoder import Decoder
from allyouneed.models.encoder import Encoder
from allyouneed.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from allyouneed.models.vision import VisionConfig, VisionEncoder

Model = Decoder | Encoder | EncoderDecoder


def build(config: DecoderConfig | EncoderConfig | EncoderDecoderConfig) -> Model:
    """The model that a config is of."""
    if isinstance(config, EncoderDecoderConfig):
        return EncoderDecoder(config)
    if isinstance(config, VisionConfig):
        return VisionEncoder(config)
    return Encoder(config) if isinstance(config, EncoderConfig) else Decoder(config)


def without_memory(config: DecoderConfig | EncoderConfig | EncoderDecoderConfig) -> Model:
    """The same on PyTorch's meta device: shapes and nothing else."""
    with torch.device("meta"):
        return build(config)
