"""Labelled pictures: drawn, built in, read from folders, public; from pixels to batches."""

from allyouneed.data.images.images import Images as Images
from allyouneed.data.images.images import Pictures as Pictures

__all__ = ["Images", "Pictures"]
