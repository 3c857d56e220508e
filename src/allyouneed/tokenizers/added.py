"""Tokens that a text is searched for before the vocabulary sees it: `<s>`, `[SEP]`, `<|im_end|>`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AddedToken:
    """`text` stands for one token wherever it occurs.

    `index` is its id; None means the id that the vocabulary has for `text`, and no token where it has none. A
    `special` one is left out by `decode(skip_special=True)`. `lstrip` and `rstrip` swallow the white space before and
    after it. A `normalized` one is searched for after the text's normalization instead of before it.
    """

    text: str
    index: int | None = None
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
