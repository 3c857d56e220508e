"""Say again what was said: `abca|abca`. Asks for nothing but finding the right place in the context."""

import string
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from allyouneed.data.tasks.task import Task


@dataclass(frozen=True)
class Copying(Task):
    """`n_letters` letters, each uniform among the first `n_symbols` of a..zA..Z, and the same letters again."""

    n_letters: int
    n_symbols: int = 26

    alphabet: ClassVar[str] = "|" + string.ascii_letters

    def __post_init__(self) -> None:
        if self.n_letters < 1:
            raise ValueError(f"n_letters must be at least 1, got {self.n_letters}")
        if not 2 <= self.n_symbols <= len(string.ascii_letters):
            raise ValueError(f"n_symbols must lie in 2..{len(string.ascii_letters)}, got {self.n_symbols}")

    @property
    def length(self) -> int:
        return 2 * self.n_letters + 1

    def draw(self, n: int, random: np.random.Generator) -> Int[np.ndarray, "n width"]:
        return random.integers(self.n_symbols, size=(n, self.n_letters))

    def text(self, problem: Int[np.ndarray, "width"]) -> tuple[str, str]:
        letters = "".join(string.ascii_letters[symbol] for symbol in problem)
        return letters + "|", letters
