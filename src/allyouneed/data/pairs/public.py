"""Multi30k: captions of images in English, German and French, the same sentences in each."""

import gzip

from allyouneed.data import registry
from allyouneed.data.pairs.pairs import Pairs
from allyouneed.errors import UserError


def multi30k(source: str = "en", target: str = "de") -> Pairs:
    """The data set's own splits: 29,000 pairs to train on, 1,014 to tune, 1,000 to test (of 2016).

    Downloads what is not here yet. Raises UserError for another language, and if the files cannot be had.
    """
    dataset = registry.find("multi30k")
    files = {file.path: file for file in dataset.files}
    languages = sorted({path.split(".")[-2] for path in files})
    for language in (source, target):
        if language not in languages:
            raise UserError(f"multi30k has no language {language!r}; it has {', '.join(languages)}")

    def lines(split: str, language: str) -> list[str]:
        path = registry.get_file(dataset, files[f"{split}.{language}.gz"], progress=True)
        return gzip.decompress(path.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")

    train, tune, test = (
        list(zip(lines(split, source), lines(split, target), strict=True))
        for split in ("train", "val", "test_2016_flickr")
    )
    return Pairs(f"multi30k:{source}-{target}", train, tune, test)
