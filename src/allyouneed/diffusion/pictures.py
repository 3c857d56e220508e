"""Pictures of -1..1 as bytes, as a grid and as files. Pillow (extra "images") writes them."""

import io
import math
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from allyouneed.data.cache import atomic_write
from allyouneed.data.images.pixels import MODES
from allyouneed.errors import UserError, require


def as_bytes(x: Float[Tensor, "items channels height width"]) -> UInt8[np.ndarray, "items channels height width"]:
    """-1 becomes 0 and 1 becomes 255; what lies beyond is cut off."""
    return (x.detach().float().cpu() / 2 + 0.5).clamp(0, 1).mul(255).round().byte().numpy()


def grid(
    pictures: UInt8[np.ndarray, "items channels height width"], columns: int | None = None, gap: int = 1
) -> UInt8[np.ndarray, "channels tall wide"]:
    """Pictures side by side, row by row, as a square unless told how many columns; between them a grey line."""
    n, channels, height, width = pictures.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 128, dtype=np.uint8)
    for item, picture in enumerate(pictures):
        top, left = item // columns * (height + gap), item % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = picture
    return sheet


def write_png(file: Path, picture: UInt8[np.ndarray, "channels height width"], zoom: int = 1) -> None:
    """Write a picture, each pixel `zoom` times as wide and as high.

    Raises UserError for other than 1 or 3 channels, and if the disk refuses.
    """
    if len(picture) not in MODES:
        raise UserError(f"a PNG file has 1 or 3 channels, these pictures have {len(picture)}")
    image = require("PIL.Image", "images")
    large = np.ascontiguousarray(picture.repeat(zoom, axis=1).repeat(zoom, axis=2).transpose(1, 2, 0))
    content = io.BytesIO()
    image.fromarray(large[:, :, 0] if len(picture) == 1 else large).save(content, format="png")
    atomic_write(file, content.getvalue())
