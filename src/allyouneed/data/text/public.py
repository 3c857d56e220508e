"""Public data sets that are running text."""

import warnings

import numpy as np

from allyouneed.data import registry
from allyouneed.data.text.corpus import Corpus
from allyouneed.data.text.files import bytes_corpus, mapped_text, text_file


def tinyshakespeare() -> Corpus:
    """Plays of Shakespeare, split by position. Downloads what is not here yet."""
    return text_file(registry.get("tinyshakespeare", progress=True) / "input.txt", "tinyshakespeare")


def wikitext_2() -> Corpus:
    """The data set's own splits; of a folder without its train file, the valid file stands in for train and tune."""
    dataset = registry.find("wikitext-2")
    train, valid, test = dataset.files
    given_without_train = registry.local_copy(dataset, valid) and registry.file_status(dataset, train) == "not here"
    files = (valid, test) if given_without_train else (train, valid, test)
    splits = [mapped_text(registry.get_file(dataset, file, progress=True)) for file in files]
    if given_without_train:
        warnings.warn(
            f"wikitext-2 without its {train.path}: train is the first 90 % of {valid.path}, tune the rest",
            stacklevel=3,
        )
        splits[:1] = np.split(splits[0], [len(splits[0]) * 90 // 100])
    return bytes_corpus("wikitext-2", splits)
