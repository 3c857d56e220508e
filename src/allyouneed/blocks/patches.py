"""Patches: a picture as a row of vectors, one for each of its squares, behind one that stands for the whole.

Dosovitskiy, Beyer, Kolesnikov, Weissenborn, Zhai, Unterthiner, Dehghani, Minderer, Heigold, Gelly, Uszkoreit and
Houlsby, "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", 2020, arXiv:2010.11929.

The idea: cut the picture into squares, flatten each and multiply it by one matrix. What comes out is read as words
are, by an encoder that knows nothing of pictures: that squares are neighbours it has to learn, from their positions.

    z = [x_class; x_1 E + b; ...; x_N E + b]        (equation 1, before positions)

| here                | paper         | meaning                                                                |
| ------------------- | ------------- | ---------------------------------------------------------------------- |
| `size`              | P             | side of a square patch, in pixels (section 3.1)                        |
| `channels`          | C             | of the picture                                                         |
| `patchify(...)`     | x_p           | the patches, row by row from the top left, (N, P P C)                  |
| `projection`        | E             | the matrix from a patch to a vector; with a bias, as in their code     |
| `class_token`       | x_class       | a learned vector in front, whose place at the end stands for the whole |
| `resize_positions`  | section 3.2   | learned positions for another grid, as between pixels of a picture     |
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.initial import GeneratorFor, fill_normal
from allyouneed.blocks.linear import Linear
from allyouneed.blocks.protocols import Sizes


def patchify(
    pixels: Float[Tensor, "batch channels height width"], size: int
) -> Float[Tensor, "batch patches patch_pixels"]:
    """The squares of a picture, row by row; within one, channel by channel and then row by row.

    Raises ValueError for a picture that squares of `size` pixels do not fill.
    """
    batch, channels, height, width = pixels.shape
    if height % size or width % size:
        raise ValueError(f"patches of {size} x {size} pixels do not fill a picture of {height} x {width}")
    squares = pixels.reshape(batch, channels, height // size, size, width // size, size)
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def resize_positions(
    table: Float[Tensor, "positions d_model"], old: tuple[int, int], new: tuple[int, int]
) -> Float[Tensor, "new_positions d_model"]:
    """Learned positions of the class token and a grid of `old` (rows, columns), for a grid of `new`.

    The class token keeps its own; the others are interpolated as the pixels of a picture would be, by bicubic splines
    whose corners are not aligned. A grid that stays the same is left alone.
    """
    if old == new:
        return table
    grid = table[1:].T.reshape(1, table.shape[1], *old)
    resized = F.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat((table[:1], resized[0].flatten(1).T))


@dataclass(frozen=True)
class Patches:
    """Squares of `size` x `size` pixels of a picture with `channels`."""

    size: int
    channels: int = 3

    def __post_init__(self) -> None:
        if self.size < 1 or self.channels < 1:
            raise ValueError(f"size and channels must be at least 1, got {self.size} and {self.channels}")

    def build(self, sizes: Sizes) -> nn.Module:
        """An embedding of pictures in vectors of d_model channels."""
        return PatchEmbedding(sizes.d_model, self.size, self.channels)


class PatchEmbedding(nn.Module):
    """The vectors of a picture: the class token's, then one for each patch."""

    def __init__(self, d_model: int, size: int, channels: int) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        self.class_token = nn.Parameter(torch.empty(d_model))
        self.projection = Linear(channels * size * size, d_model)

    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """The class token starts as an embedding does."""
        fill_normal(self.class_token, self.class_token.shape[0] ** -0.5, generator_for("class_token"))

    def forward(
        self, pixels: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch patches_and_one d_model"]:
        """Raises ValueError for another number of channels, and for a picture that patches do not fill."""
        if pixels.shape[1] != self.channels:
            raise ValueError(f"the pictures have {pixels.shape[1]} channels, the model reads {self.channels}")
        patches = self.projection(patchify(pixels, self.size))
        return torch.cat((self.class_token.expand(len(patches), 1, -1), patches), dim=1)
