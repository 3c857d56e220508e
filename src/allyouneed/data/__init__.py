"""Corpora, tasks and public data sets, each split into train, tune and test.

Opening data does not import torch, so what yields tensors is not named here: token batches are in `data.batch`,
windows in `data.windows`, encoded sentence pairs in `data.translation`, generated problems in `data.tasks`, batches
of images in `data.image_batches`.
"""

from allyouneed.data import corpora as corpora
from allyouneed.data.cache import atomic_file as atomic_file
from allyouneed.data.cache import atomic_write as atomic_write
from allyouneed.data.cache import cache_dir as cache_dir
from allyouneed.data.corpora import english_prose as english_prose
from allyouneed.data.corpora import python_code as python_code
from allyouneed.data.corpus import Corpus as Corpus
from allyouneed.data.corpus import Text as Text
from allyouneed.data.datasets import Dataset as Dataset
from allyouneed.data.datasets import File as File
from allyouneed.data.ngram import ngram_loss as ngram_loss
from allyouneed.data.open import is_built_in as is_built_in
from allyouneed.data.open import kind_of as kind_of
from allyouneed.data.open import open_data as open_data
from allyouneed.data.pairs import Pairs as Pairs
from allyouneed.data.registry import get as get
from allyouneed.data.registry import list_datasets as list_datasets
from allyouneed.data.registry import status as status

__all__ = [
    "Corpus",
    "Dataset",
    "File",
    "Pairs",
    "Text",
    "atomic_file",
    "atomic_write",
    "cache_dir",
    "corpora",
    "english_prose",
    "get",
    "is_built_in",
    "kind_of",
    "list_datasets",
    "ngram_loss",
    "open_data",
    "python_code",
    "status",
]
