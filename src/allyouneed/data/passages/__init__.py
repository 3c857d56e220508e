"""Passages with questions: from documents, from docstrings, public collections."""

from allyouneed.data.passages.passages import Passages as Passages
from allyouneed.data.passages.passages import Questions as Questions

__all__ = ["Passages", "Questions"]
