"""Sums of whole numbers, as text: `12+34=46`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from allyouneed.data.tasks.task import Task

_OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


@dataclass(frozen=True)
class Arithmetic(Task):
    """Both operands uniform in 0..max_value, the operation uniform among `ops` (of +, - and *).

    a + b and b + a (and a * b and b * a) lie in the same split.
    """

    max_value: int = 99
    ops: tuple[str, ...] = ("+",)

    alphabet: ClassVar[str] = "0123456789+-*="

    def __post_init__(self) -> None:
        if self.max_value < 1:
            raise ValueError(f"max_value must be at least 1, got {self.max_value}")
        if not self.ops or not set(self.ops) <= set(_OPERATIONS):
            raise ValueError(f"ops must be some of {', '.join(_OPERATIONS)}, got {self.ops}")

    @property
    def length(self) -> int:
        largest = self.max_value
        prompt = len(f"{largest}+{largest}=")
        return prompt + max(len(str(_OPERATIONS[op](a, largest))) for op in self.ops for a in (0, largest))

    def draw(self, n: int, random: np.random.Generator) -> Int[np.ndarray, "n width"]:
        operation = random.integers(len(self.ops), size=n)
        first, second = random.integers(self.max_value + 1, size=(2, n))
        return np.stack([operation, first, second], axis=1)

    def text(self, problem: Int[np.ndarray, "width"]) -> tuple[str, str]:
        operation, first, second = (int(value) for value in problem)
        op = self.ops[operation]
        return f"{first}{op}{second}=", str(_OPERATIONS[op](first, second))

    def identity(self, problems: Int[np.ndarray, "n width"]) -> Int[np.ndarray, "n width"]:
        operation, first, second = problems.T
        swap = np.array([op != "-" for op in self.ops])[operation] & (first > second)
        return np.stack([operation, np.where(swap, second, first), np.where(swap, first, second)], axis=1)
