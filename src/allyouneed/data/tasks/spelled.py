"""Sums of numbers in words: `forty-two plus seven=49` (extra "translation", for num2words)."""

import string
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from allyouneed.data.tasks.arithmetic import Arithmetic
from allyouneed.errors import require

_NAMES = {"+": "plus", "-": "minus", "*": "times"}


@dataclass(frozen=True)
class SpelledArithmetic(Arithmetic):
    """As `Arithmetic`, with operands and operation in English words; the answer is in digits."""

    alphabet: ClassVar[str] = string.ascii_lowercase + string.digits + ",-="

    @property
    def length(self) -> int:
        longest = max(len(_spelled(value)) for value in range(self.max_value + 1))
        operation = max(len(_NAMES[op]) for op in self.ops)
        answer = super().length - len(f"{self.max_value}+{self.max_value}=")
        return 2 * longest + operation + len("  =") + answer

    def text(self, problem: Int[np.ndarray, "width"]) -> tuple[str, str]:
        operation, first, second = (int(value) for value in problem)
        _, answer = super().text(problem)
        return f"{_spelled(first)} {_NAMES[self.ops[operation]]} {_spelled(second)}=", answer


@lru_cache(maxsize=100_000)
def _spelled(value: int) -> str:
    return require("num2words", "translation").num2words(value)
