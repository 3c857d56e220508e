"""Sentences with their translations: made from rules, read from files, public; batches of them."""

from allyouneed.data.pairs.pairs import Pairs as Pairs

__all__ = ["Pairs"]
