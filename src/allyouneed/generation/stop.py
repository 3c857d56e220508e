"""Where the writing of a row ends."""

from collections.abc import Sequence
from dataclasses import dataclass

from allyouneed.tokenizers import Tokenizer


@dataclass(frozen=True)
class Stop:
    """A row ends with the first of these tokens that it writes, or with the token that completes one of these strings.

    strings: looked for in the text of all that the row has written, so that they may begin and end within tokens.
    tokenizer: that reads the text; strings need one.
    pad_token: what a row that has ended is filled up with while others go on; None repeats its last token.

    Raises ValueError for an empty string, or strings without a tokenizer.
    """

    tokens: Sequence[int] = ()
    strings: Sequence[str] = ()
    tokenizer: Tokenizer | None = None
    pad_token: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.strings, str):
            raise ValueError(f"give the strings that stop as a list: [{self.strings!r}]")
        if "" in self.strings:
            raise ValueError("every text contains the empty string: give stop strings of a character at least")
        if self.strings and self.tokenizer is None:
            raise ValueError("stop strings are looked for in text: give the tokenizer that decodes it")

    def ends(self, written: Sequence[int]) -> bool:
        """Whether a row that has written just this, and was open before the last token, ends here."""
        if written[-1] in self.tokens:
            return True
        if not self.strings or self.tokenizer is None:
            return False
        text = self.tokenizer.decode(written)
        return any(string in text for string in self.strings)

    def filled(self, written: Sequence[int], n: int) -> list[int]:
        """What a row has written, filled up to `n` tokens."""
        return [*written, *(self.fill(written) for _ in range(len(written), n))]

    def fill(self, written: Sequence[int]) -> int:
        """What a row is filled up with once it has ended."""
        return written[-1] if self.pad_token is None else self.pad_token

    def check(self, vocab_size: int) -> None:
        """Raises ValueError for a token that is not of the vocabulary."""
        for token in (*self.tokens, *(() if self.pad_token is None else (self.pad_token,))):
            if not 0 <= token < vocab_size:
                raise ValueError(f"stop and pad tokens must be of the vocabulary (0 .. {vocab_size - 1}), got {token}")
