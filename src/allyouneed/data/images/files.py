"""A user's own pictures: a folder of class folders, or a folder of pictures without classes."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from jaxtyping import UInt8

from allyouneed.data.cache import atomic_file, cache_dir, make_folder
from allyouneed.data.images.images import Images, split_images
from allyouneed.data.images.pixels import read_picture, scaled
from allyouneed.errors import UserError, require

PACKAGES = ("pillow",)  # whose version decides which bytes a file becomes
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".tif", ".tiff")
SPLITS = {"train", "training", "tune", "val", "valid", "validation", "test"}  # folders that are no classes
LARGEST, SIDE = 64, 32  # pixels: a side that is kept, and what larger or unequal pictures are scaled to


@dataclass(frozen=True)
class PictureFile:
    """One file: its name for people, the name of its class, and what gives its bytes."""

    name: str
    of_class: str
    read: Callable[[], bytes]


def image_folder(folder: Path, side: int | None = None) -> Images:
    """The pictures of a folder: each subfolder is a class, of all pictures in it. Without subfolders no classes.

    side: of the square that every picture is scaled to. Unless given, pictures that are all of one size of at most 64
    pixels stay as they are, and others become 32 x 32. Files that do not end as pictures do, and hidden ones, are
    left out. All are grey if every picture is. Raises UserError for a folder without pictures, with pictures beside
    its subfolders or with subfolders for the splits, which are made here; for a file that is no picture, by its name.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: pictures lie in a folder, those of a class in a subfolder of it")
    found = [path for path in sorted(folder.rglob("*")) if _is_picture(path.relative_to(folder)) and path.is_file()]
    if not found:
        raise UserError(f"there is no picture in {folder} ({', '.join(ENDINGS)})")
    inside = {path: path.relative_to(folder) for path in found}
    loose = [path.name for path in found if len(inside[path].parts) == 1]
    if loose and len(loose) < len(found):
        raise UserError(f"{folder} has pictures beside its class folders, such as {loose[0]}: move or remove them")
    classes = [] if loose else sorted({part.parts[0] for part in inside.values()})
    if classes and {name.lower() for name in classes} <= SPLITS:
        raise UserError(f"{folder} holds {', '.join(classes)}: name a folder of class folders; it is split here")
    files = [PictureFile(str(path), inside[path].parts[0], path.read_bytes) for path in found]
    return images_of(folder.resolve().name, files, classes, side)


def images_of(name: str, files: Sequence[PictureFile], classes: Sequence[str], side: int | None) -> Images:
    """The pictures in some files, scaled to one size. They are read once, and then kept in the cache."""
    key = hashlib.sha256(f"{side}/{require('PIL', 'images').__version__}".encode())
    for file in files:
        key.update(hashlib.sha256(_content(file)).digest())
    kept = make_folder(cache_dir() / "images") / f"{key.hexdigest()[:32]}.npy"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            with atomic_file(kept) as opened:
                np.save(opened, _pixels(files, side))
    labels = np.array([classes.index(file.of_class) if classes else 0 for file in files], dtype=np.int64)
    return split_images(name, np.load(kept, mmap_mode="r"), labels, classes)


def _pixels(files: Sequence[PictureFile], side: int | None) -> UInt8[np.ndarray, "items channels height width"]:
    """The pictures themselves, in one array."""
    shapes, grey = set(), True
    for file in files:
        picture = read_picture(_content(file), file.name)
        shapes.add(picture.size)
        grey = grey and picture.mode in ("1", "L", "LA")
    width, height = next(iter(shapes))
    if side is not None or len(shapes) > 1 or max(width, height) > LARGEST:
        height = width = side or SIDE
    pixels = np.empty((len(files), 1 if grey else 3, height, width), dtype=np.uint8)
    for item, file in enumerate(files):
        pixels[item] = scaled(read_picture(_content(file), file.name), pixels.shape[1], height, width)
    return pixels


def _content(file: PictureFile) -> bytes:
    try:
        return file.read()
    except OSError as error:
        raise UserError(f"cannot read {file.name}: {error.strerror}") from error


def _is_picture(inside: Path) -> bool:
    return inside.suffix.lower() in ENDINGS and not any(part.startswith(".") for part in inside.parts)
