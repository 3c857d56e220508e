"""From a picture in a file to what a model reads: scaled to one size, bytes to 0..1, less a mean, over a deviation.

The same numbers as transformers' ViTImageProcessor, whose settings (preprocessor_config.json) are read and written
here. Pillow (extra "images") does the scaling.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from allyouneed.data.cache import atomic_write
from allyouneed.errors import UserError, require

if TYPE_CHECKING:
    from PIL.Image import Image

SETTINGS = "preprocessor_config.json"
BILINEAR = 2  # Pillow's number, which the settings hold
MODES = {1: "L", 3: "RGB"}  # Pillow's names, by the number of channels


def read_picture(content: bytes, name: str) -> "Image":
    """The picture in a file, the right way up. Raises UserError, with its name, if there is none."""
    image, orient = require("PIL.Image", "images"), require("PIL.ImageOps", "images").exif_transpose
    try:
        picture = image.open(io.BytesIO(content))
        picture.load()
        picture = orient(picture)
    except Exception as error:  # its readers raise what they like: OSError, SyntaxError, struct.error
        raise UserError(f"{name} is no picture that can be read: {error or type(error).__name__}") from error
    if picture.mode.startswith(("I", "F")):
        raise UserError(f"{name} has more than 8 bits a channel ({picture.mode}): save it with 8")
    return picture


def scaled(
    picture: "Image", channels: int, height: int, width: int, resample: int = BILINEAR
) -> UInt8[np.ndarray, "channels height width"]:
    """The picture in 1 (grey) or 3 channels, scaled to this size whatever its shape was."""
    picture = picture.convert(MODES[channels])
    if picture.size != (width, height):
        picture = picture.resize((width, height), resample)
    values = np.asarray(picture)
    return np.ascontiguousarray(values[None] if channels == 1 else values.transpose(2, 0, 1))


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture: scaled to (height, width), then (byte * rescale - mean) / std, channel by channel."""

    height: int
    width: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    resample: int = BILINEAR
    rescale: float = 1 / 255

    def __call__(self, picture: "Image") -> Float[np.ndarray, "channels height width"]:
        """As many channels as there are means."""
        pixels = scaled(picture, len(self.mean), self.height, self.width, self.resample)
        mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (self.mean, self.std))
        return (pixels.astype(np.float32) * np.float32(self.rescale) - mean) / std

    @classmethod
    def read(cls, folder: Path, channels: int, height: int, width: int) -> "Preprocessing":
        """The settings in a checkpoint's folder; the defaults, for pictures of this size, where it has none.

        Raises UserError for steps that are not done here, and for another number of channels.
        """
        file = folder / SETTINGS
        if not file.is_file():
            return cls(height, width, (0.5,) * channels, (0.5,) * channels)
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            size = _size(raw.get("size", {"height": height, "width": width}))
            mean, std = (_by_channel(raw.get(key, 0.5), channels) for key in ("image_mean", "image_std"))
            rescale = float(raw.get("rescale_factor", 1 / 255)) if raw.get("do_rescale", True) else 1.0
            if not raw.get("do_normalize", True):
                mean, std = (0.0,) * channels, (1.0,) * channels
            resample = int(raw.get("resample", BILINEAR))
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise UserError(f"cannot read {file}: {error}") from error
        if raw.get("do_center_crop") or not raw.get("do_resize", True):
            raise UserError(f"{file} asks for a crop, or for no scaling: pictures are scaled to one size here")
        return cls(*size, mean, std, resample, rescale)

    def write(self, folder: Path) -> None:
        """Keep the settings in a checkpoint's folder, where transformers looks for them."""
        settings = {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": self.height, "width": self.width},
            "resample": self.resample,
            "do_rescale": True,
            "rescale_factor": self.rescale,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }
        atomic_write(folder / SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())


def _size(size: Any) -> tuple[int, int]:
    """Height and width, of a number or of both by name."""
    if isinstance(size, int):
        return size, size
    if not {"height", "width"} <= set(size):
        raise ValueError(f"size = {size!r} names no height and width")
    return int(size["height"]), int(size["width"])


def _by_channel(values: float | Sequence[float], channels: int) -> tuple[float, ...]:
    found = (float(values),) * channels if isinstance(values, int | float) else tuple(map(float, values))
    if len(found) != channels:
        raise ValueError(f"{len(found)} values for {channels} channels")
    return found
