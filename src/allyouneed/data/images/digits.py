"""Handwritten digits that come with scikit-learn (extra "images"): 1,797 grey pictures of 8 x 8."""

import numpy as np

from allyouneed.data.images.images import Images, split_images
from allyouneed.errors import require

PACKAGES = ("scikit-learn",)  # whose version a trial on these pictures depends on


def digits() -> Images:
    """Handwritten digits of 8 x 8 pixels. Raises MissingExtra without scikit-learn."""
    loaded = require("sklearn.datasets", "images").load_digits()
    # 16 is the largest value of a pixel there.
    pixels = np.rint(loaded.images[:, None] * (255 / 16)).astype(np.uint8)
    return split_images("digits", pixels, loaded.target.astype(np.int64), [str(digit) for digit in range(10)])
