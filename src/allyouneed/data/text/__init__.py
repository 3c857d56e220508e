"""Running text: built-in corpora, files of a user, public sets; windows over it."""

from allyouneed.data.text.corpus import Corpus as Corpus
from allyouneed.data.text.corpus import Text as Text

__all__ = ["Corpus", "Text"]
