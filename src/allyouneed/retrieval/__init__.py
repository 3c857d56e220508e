"""Finding passages for questions: by words, by vectors, by both; training the vectors; measuring rankings."""

from allyouneed.retrieval.bm25 import BM25 as BM25
from allyouneed.retrieval.bm25 import WordCounts as WordCounts
from allyouneed.retrieval.dense import DenseRetriever as DenseRetriever
from allyouneed.retrieval.dual_encoder import DualEncoder as DualEncoder
from allyouneed.retrieval.dual_encoder import InBatch as InBatch
from allyouneed.retrieval.dual_encoder import QuestionStream as QuestionStream
from allyouneed.retrieval.dual_encoder import hard_negatives as hard_negatives
from allyouneed.retrieval.hits import Hits as Hits
from allyouneed.retrieval.hits import Retriever as Retriever
from allyouneed.retrieval.hybrid import Hybrid as Hybrid
from allyouneed.retrieval.index import FaissIndex as FaissIndex
from allyouneed.retrieval.index import TorchIndex as TorchIndex
from allyouneed.retrieval.index import exact_index as exact_index
from allyouneed.retrieval.text_encoder import TextEncoder as TextEncoder

__all__ = [
    "BM25",
    "DenseRetriever",
    "DualEncoder",
    "FaissIndex",
    "Hits",
    "Hybrid",
    "InBatch",
    "QuestionStream",
    "Retriever",
    "TextEncoder",
    "TorchIndex",
    "WordCounts",
    "exact_index",
    "hard_negatives",
]
