"""The text of tokens that arrive one by one: each piece as soon as no later token can change it."""

from collections.abc import Callable, Container, Sequence

CUT = "\ufffd"  # how tokenizers show bytes that are not (yet) a character


class Incremental:
    """What `push` and `finish` return is, joined, `decode` of all tokens; the work for one token does not grow with
    their number.

    `decode` may treat the beginning of a text apart (SentencePiece drops a space there), so it is given a few tokens
    back. Text that ends in U+FFFD is held: a next token may complete the character. `byte_tokens` are held until
    another token comes: one bad byte may turn the whole run of them into U+FFFD.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], byte_tokens: Container[int] = frozenset()) -> None:
        self._decode, self._byte_tokens = decode, byte_tokens
        self._context: list[int] = []  # told already, and enough for the next token not to seem the first
        self._held: list[int] = []
        self._in_run = False

    def push(self, token: int) -> str:
        """The text that is settled by one more token: often its own, sometimes none."""
        self._held.append(token)
        # A token without text, such as one that is skipped, does not end the run.
        self._in_run = token in self._byte_tokens or (self._in_run and not self._decode([token]))
        if self._in_run:
            return ""
        text = self._untold()
        return "" if text.endswith(CUT) else self._tell(text)

    def finish(self) -> str:
        """The text of what is still held, when no token follows any more."""
        return self._tell(self._untold())

    def _untold(self) -> str:
        return self._decode([*self._context, *self._held])[len(self._decode(self._context)) :]

    def _tell(self, text: str) -> str:
        if text:
            self._context = self._held if self._decode(self._held) else [*self._context, *self._held]
            self._held = []
        return text
