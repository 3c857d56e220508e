"""The vision encoder: the encoder of the other families, which reads the patches of a picture in place of words.

Its vocabulary are the classes that it tells apart; its logits are those of the class token alone.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from allyouneed.blocks.context import Record
from allyouneed.blocks.patches import Patches, resize_positions
from allyouneed.blocks.positions.learned import LearnedPositions
from allyouneed.models.config import EncoderConfig, StackConfig
from allyouneed.models.encoder import Encoder

Pixels = Float[Tensor, "batch channels height width"]


@dataclass(frozen=True, kw_only=True)
class VisionConfig(EncoderConfig):
    """An encoder of pictures.

    patches: what cuts them up. height, width: of every picture, in pixels.
    classes: their names, or none where they have no names; `vocab_size` is their number.
    max_seq_len: the patches and the class token, whatever is given: it follows from the picture.

    Raises ValueError for patches that do not fill the picture, and for sizes that do not fit one another.
    """

    patches: Patches
    height: int
    width: int
    classes: tuple[str, ...] = ()
    tie_embeddings: bool = False

    def __post_init__(self) -> None:
        size, n_patches = self.patches.size, self.grid[0] * self.grid[1]
        if not n_patches or self.height % size or self.width % size:
            raise ValueError(f"patches of {size} x {size} pixels do not fill {self.height} x {self.width}")
        if self.classes and len(self.classes) != self.vocab_size:
            raise ValueError(f"vocab_size is {self.vocab_size}, but {len(self.classes)} classes are named")
        if self.tie_embeddings and self.has_head:
            raise ValueError("patches are not the classes that the head writes: tie_embeddings must be False")
        object.__setattr__(self, "max_seq_len", n_patches + 1)
        super().__post_init__()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // self.patches.size, self.width // self.patches.size


class VisionEncoder(Encoder):
    """An encoder of pictures, each of which becomes one row of logits over the classes."""

    config: VisionConfig

    def _build(self, config: StackConfig) -> None:
        super()._build(config)
        # In the place of the words' embedding, under its name.
        self.embedding = self.config.patches.build(config.sizes)  # type: ignore[assignment]

    def embed(self, pixels: Pixels) -> Float[Tensor, "batch seq d_model"]:  # type: ignore[override]
        """The vectors of the class token and of every patch. Raises ValueError for pictures of another size."""
        if pixels.shape[2:] != (self.config.height, self.config.width):
            size = f"{self.config.height} x {self.config.width}"
            raise ValueError(
                f"the model reads pictures of {size} pixels, these are {pixels.shape[2]} x {pixels.shape[3]}; "
                "`at_size` makes a model for another size"
            )
        return self.embedding(pixels)

    def hidden(  # type: ignore[override]
        self, pixels: Pixels, record: Record | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """What leaves the last norm: of the class token, then of every patch.

        record: {"attention": []} is given each layer's maps, (batch, heads, seq, seq).
        """
        return super().hidden(self.embed(pixels), record=record)

    def forward(  # type: ignore[override]
        self, pixels: Pixels, record: Record | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Logits of every picture's class."""
        return self.head(self.hidden(pixels, record)[:, 0])


@torch.no_grad()
def at_size(model: VisionEncoder, height: int, width: int) -> VisionEncoder:
    """The same weights in a new model, for pictures of another size; learned positions are interpolated.

    Raises ValueError if patches do not fill that size.
    """
    config, weights = replace(model.config, height=height, width=width), model.state_dict()
    if isinstance(model.positions, LearnedPositions):
        table = resize_positions(model.positions.table.weight, model.config.grid, config.grid)
        weights["positions.table.weight"] = table
    first = next(model.parameters())
    other = VisionEncoder(config).to(first.device, first.dtype)
    other.load_state_dict(weights)
    other.checkpoint = model.checkpoint
    return other.train(model.training)
