"""Models: stacks of blocks, and the configs that name the blocks."""

from allyouneed.models.config import DecoderConfig as DecoderConfig
from allyouneed.models.config import EncoderConfig as EncoderConfig
from allyouneed.models.config import StackConfig as StackConfig
from allyouneed.models.decoder import Decoder as Decoder
from allyouneed.models.encoder import Encoder as Encoder
from allyouneed.models.encoder_decoder import EncoderDecoder as EncoderDecoder
from allyouneed.models.encoder_decoder import EncoderDecoderConfig as EncoderDecoderConfig
from allyouneed.models.modes import evaluation_mode as evaluation_mode
from allyouneed.models.state import DecoderState as DecoderState
from allyouneed.models.vision import VisionConfig as VisionConfig
from allyouneed.models.vision import VisionEncoder as VisionEncoder

__all__ = [
    "Decoder",
    "DecoderConfig",
    "DecoderState",
    "Encoder",
    "EncoderConfig",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "StackConfig",
    "VisionConfig",
    "VisionEncoder",
    "evaluation_mode",
]
