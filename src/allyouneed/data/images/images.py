"""Images: a labelled set of pictures of one size, in three splits that share no picture.

Pixels are kept as bytes, 0 (black) to 255; what a model reads lies in -1..1: see `data.images.batches`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Int, Int64, UInt8

from allyouneed.errors import UserError

if TYPE_CHECKING:
    from allyouneed.data.images.batches import ImageBatch, ImageStream


@dataclass(frozen=True, eq=False)
class Pictures:
    """One split: pictures and the number of the class of each (0 for all where there are no classes)."""

    pixels: UInt8[np.ndarray, "items channels height width"]
    labels: Int64[np.ndarray, "items"]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Int[np.ndarray, "rows"]) -> "Pictures":
        """Some of the pictures, in the order of `rows`."""
        return Pictures(self.pixels[rows], self.labels[rows])

    def stream(self, batch_size: int, seed: int) -> "ImageStream":
        """Endless batches, every picture once in each epoch."""
        from allyouneed.data.images.batches import ImageStream  # brings torch, which opening images does not need

        return ImageStream(self, batch_size, seed)

    def batches(self, batch_size: int, limit: int | None = None) -> "Iterator[ImageBatch]":
        """All pictures once, or the first `limit` of them, in order."""
        from allyouneed.data.images.batches import batches

        return batches(self, batch_size, limit)


@dataclass(frozen=True, eq=False)
class Images:
    """A named set of pictures in three splits. `version` is the sha256 (hex) of its content; `classes` names what
    the labels count, and is empty for pictures that were not sorted into classes."""

    unit: ClassVar[str] = "images"  # what the length of a split counts
    least: ClassVar[int] = 1  # of them in a split

    name: str
    version: str
    classes: tuple[str, ...]
    train: Pictures
    tune: Pictures
    test: Pictures

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels (1: grey, 3: red, green and blue), height and width of a picture."""
        _, channels, height, width = self.train.pixels.shape
        return channels, height, width


def split_images(
    name: str,
    pixels: UInt8[np.ndarray, "items channels height width"],
    labels: Int64[np.ndarray, "items"],
    classes: Sequence[str],
) -> Images:
    """The pictures as 70 % train, 15 % tune and 15 % test, by the hash of each picture.

    So equal pictures share a split, and a picture stays in its own when others come or go. Raises UserError if a
    split is empty, or a class has no picture in train.
    """
    version = hashlib.sha256(repr((pixels.shape, tuple(classes))).encode())
    percent = np.empty(len(pixels), dtype=np.int64)
    for item, picture in enumerate(pixels):
        digest = hashlib.sha256(picture.tobytes()).digest()
        percent[item] = int.from_bytes(digest[:8], "big") % 100
        version.update(digest + labels[item].tobytes())

    def part(low: int, high: int) -> Pictures:
        rows = np.flatnonzero((low <= percent) & (percent < high))
        return Pictures(pixels[rows], labels[rows])

    splits = {"train": part(0, 70), "tune": part(70, 85), "test": part(85, 100)}
    for split, pictures in splits.items():
        if not len(pictures):
            raise UserError(f"{name} has too few pictures ({len(pixels)}): none falls into the {split} split")
    for number, class_name in enumerate(classes):
        if not (splits["train"].labels == number).any():
            raise UserError(f"{name} has too few pictures of {class_name}: none falls into the train split")
    return Images(name, version.hexdigest(), tuple(classes), **splits)
