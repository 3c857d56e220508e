"""Corpora, tasks and public data sets, each split into train, tune and test.

A folder for each kind of data: text, pairs, passages, images, chats, answers, preferences. Each has the type that
studies read, named as the folder is; `files`, a user's own; `public`, what is downloaded; and its built-in sets by
their names. `tasks` are generated problems. What yields tensors is not imported here, because opening data does not
need torch: `batches` of each kind, `text.windows`, and `batch`, what token streams yield.
"""

from allyouneed.data.cache import atomic_file as atomic_file
from allyouneed.data.cache import atomic_write as atomic_write
from allyouneed.data.cache import cache_dir as cache_dir
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
from allyouneed.data.text import corpora as corpora
from allyouneed.data.text.corpora import english_prose as english_prose
from allyouneed.data.text.corpora import python_code as python_code
from allyouneed.data.text.corpus import Corpus as Corpus
from allyouneed.data.text.corpus import Text as Text

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
