"""Drawn shapes: grey pictures of 16 x 16 with two shapes each, whose class says which they are and how they lie.

A disc, a square or a cross lies left of, right of, above or below another of them. To tell the class, the shapes must
be known and their places compared: no patch alone has the answer.
"""

from itertools import combinations

import numpy as np
from jaxtyping import Bool, Int

from allyouneed.data.images.images import Images, split_images

SHAPES = ("disc", "square", "cross")
RELATIONS = ("left of", "right of", "above", "below")
PAIRS = tuple(combinations(range(len(SHAPES)), 2))
CLASSES = [f"{SHAPES[a]} {relation} {SHAPES[b]}" for a, b in PAIRS for relation in RELATIONS]

N_PICTURES, SIDE = 30_000, 16
RADII = (2, 3)


def shapes() -> Images:
    """Two drawn shapes in 16 x 16 pixels, on noise: which they are and how they lie."""
    random = np.random.default_rng(0)
    n_drawn = 4 * N_PICTURES  # more than half of them are refused: the shapes touch, or lie on a diagonal
    pair = random.integers(len(PAIRS), size=n_drawn)
    kind = np.array(PAIRS)[pair]
    radius = random.choice(RADII, size=(n_drawn, 2))
    centre = random.integers(radius[..., None], SIDE - radius[..., None], size=(n_drawn, 2, 2))
    down, right = (centre[:, 1] - centre[:, 0]).T
    far = np.maximum(abs(down), abs(right))
    kept = np.flatnonzero((far > radius.sum(1)) & (abs(down) != abs(right)))[:N_PICTURES]
    relation = np.where(abs(right) > abs(down), np.where(right > 0, 0, 1), np.where(down > 0, 2, 3))
    pixels = random.integers(61, size=(len(kept), SIDE, SIDE), dtype=np.uint8)
    for which in (0, 1):
        brightness = random.integers(100, 256, size=len(kept), dtype=np.uint8)
        covered = _covered(kind[kept, which], radius[kept, which], centre[kept, which])
        pixels = np.where(covered, brightness[:, None, None], pixels)
    labels = (pair * len(RELATIONS) + relation)[kept].astype(np.int64)
    return split_images("shapes", pixels[:, None], labels, CLASSES)


def _covered(
    kind: Int[np.ndarray, "items"], radius: Int[np.ndarray, "items"], centre: Int[np.ndarray, "items 2"]
) -> Bool[np.ndarray, "items height width"]:
    """Where each shape lies."""
    small = np.arange(SIDE, dtype=np.int8)  # with wider numbers this takes seconds
    radius, centre, kind = (values.astype(np.int8)[..., None, None] for values in (radius, centre, kind))
    down, right = abs(small[:, None] - centre[:, 0]), abs(small - centre[:, 1])
    inside = np.maximum(down, right) <= radius
    disc = down**2 + right**2 <= radius**2 + 1
    cross = np.minimum(down, right) == 0
    return inside & np.where(kind == 0, disc, np.where(kind == 2, cross, True))
