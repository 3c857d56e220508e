"""Batches of images, as models read them: pixels in -1..1."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.data.images.images import Pictures
from allyouneed.data.stream import NumberedStream


@dataclass(frozen=True)
class ImageBatch:
    """Pictures, -1 (black) to 1, and the number of the class of each."""

    pixels: Float[Tensor, "batch channels height width"]
    labels: Int[Tensor, "batch"]

    @classmethod
    def of(cls, pictures: Pictures) -> "ImageBatch":
        """All of some pictures: byte b becomes 2 b / 255 - 1."""
        pixels = torch.from_numpy(pictures.pixels).float()
        return cls(pixels.mul_(2 / 255).sub_(1), torch.from_numpy(pictures.labels))


def batches(pictures: Pictures, batch_size: int, limit: int | None = None) -> Iterator[ImageBatch]:
    """All pictures once, or the first `limit` of them, in order."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 picture, got {limit}")
    rows = np.arange(len(pictures))[:limit]
    return (ImageBatch.of(pictures.take(rows[i : i + batch_size])) for i in range(0, len(rows), batch_size))


class ImageStream(NumberedStream[ImageBatch]):
    """Endless batches. Epochs, each with every picture once in an order of its own, lie end to end."""

    def __init__(self, pictures: Pictures, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        if not len(pictures):
            raise ValueError("there are no pictures to draw from")
        self.pictures = pictures
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def draw(self, n: int) -> ImageBatch:
        """The pictures at the places n * batch_size and on."""
        places = np.arange(n * self.batch_size, (n + 1) * self.batch_size)
        epochs, within = np.divmod(places, len(self.pictures))
        rows = np.concatenate([self._epoch(epoch)[within[epochs == epoch]] for epoch in np.unique(epochs)])
        return ImageBatch.of(self.pictures.take(rows))

    def source(self) -> str:
        """The pictures' shape, and a checksum of a sample of them."""
        sample = self.pictures.take(np.arange(0, len(self.pictures), max(1, len(self.pictures) // 1000)))
        checksum = zlib.crc32(sample.labels.tobytes(), zlib.crc32(np.ascontiguousarray(sample.pixels).tobytes()))
        return f"{'x'.join(map(str, self.pictures.pixels.shape))} pictures ({checksum:08x})"

    def _epoch(self, epoch: int) -> np.ndarray:
        """The order of an epoch; kept, because the batches of one ask for it one after another."""
        if self._order[0] != epoch:
            self._order = (int(epoch), self.random(int(epoch)).permutation(len(self.pictures)))
        return self._order[1]
