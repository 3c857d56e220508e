"""Position schemes: how a model knows the order of its tokens. One idea a file."""

from allyouneed.blocks.positions.learned import Learned as Learned
from allyouneed.blocks.positions.none import NoPositions as NoPositions
from allyouneed.blocks.positions.relative_bias import RelativeBias as RelativeBias
from allyouneed.blocks.positions.rope import Rope as Rope
from allyouneed.blocks.positions.rope_scaling import LinearScaling as LinearScaling
from allyouneed.blocks.positions.rope_scaling import Llama3Scaling as Llama3Scaling
from allyouneed.blocks.positions.rope_scaling import Yarn as Yarn
from allyouneed.blocks.positions.sinusoidal import Sinusoidal as Sinusoidal

__all__ = [
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "NoPositions",
    "RelativeBias",
    "Rope",
    "Sinusoidal",
    "Yarn",
]
