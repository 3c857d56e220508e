"""Position schemes: how a model knows the order of its tokens. One idea a file."""

from allyouneed.blocks.positions.learned import Learned as Learned
from allyouneed.blocks.positions.none import NoPositions as NoPositions
from allyouneed.blocks.positions.rope import Rope as Rope
from allyouneed.blocks.positions.sinusoidal import Sinusoidal as Sinusoidal

__all__ = ["Learned", "NoPositions", "Rope", "Sinusoidal"]
