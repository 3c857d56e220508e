"""Handwritten digits that come with scikit-learn (extra "images"): 1,797 images of 8 x 8."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.errors import require

PACKAGES = ("scikit-learn",)  # whose version a trial on these images depends on


@dataclass(frozen=True)
class Images:
    """Grey images, 0 (black) to 1 (white), and what each shows."""

    images: Float[Tensor, "items height width"]
    labels: Int[Tensor, "items"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Digits:
    """The three splits; equal images lie in the same one."""

    train: Images
    tune: Images
    test: Images


def digits() -> Digits:
    """The data set, split 70 / 15 / 15 % by the hash of the image. Raises MissingExtra without scikit-learn."""
    loaded = require("sklearn.datasets", "images").load_digits()
    images, labels = loaded.images.astype(np.uint8), loaded.target.astype(np.int64)
    percent = np.array([int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big") % 100 for image in images])

    def part(low: int, high: int) -> Images:
        chosen = (low <= percent) & (percent < high)
        # 16 is the largest value of a pixel
        return Images(torch.from_numpy(images[chosen] / np.float32(16)), torch.from_numpy(labels[chosen]))

    return Digits(part(0, 70), part(70, 85), part(85, 100))
