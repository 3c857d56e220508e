"""Problems of several tasks, mixed: what a model that must know a little of everything is asked."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from allyouneed.data.tasks.task import END, PADDING, Task
from allyouneed.tokenizers.characters import Characters


@dataclass(frozen=True)
class Mixture(Task):
    """A problem of task i is drawn with probability weights[i] / sum(weights).

    Mixtures of the same tasks have the same tokens and splits, whatever the weights: what one trains on is never the
    other's test. A task of weight 0 takes no padding. Raises ValueError unless there are as many weights as tasks, none
    negative and not all 0.
    """

    tasks: tuple[Task, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.tasks) != len(self.weights) or not self.tasks:
            raise ValueError(f"each task needs one weight, got {len(self.tasks)} tasks and {len(self.weights)} weights")
        if min(self.weights) < 0 or sum(self.weights) == 0:
            raise ValueError(f"weights must not be negative, nor all 0; got {self.weights}")

    @property
    def tokenizer(self) -> Characters:
        characters = "".join(task.alphabet for task in self.tasks)
        return Characters("".join(dict.fromkeys(PADDING + END + characters)))

    @property
    def length(self) -> int:
        return max(task.length for task, weight in zip(self.tasks, self.weights) if weight)

    def draw(self, n: int, random: np.random.Generator) -> Int[np.ndarray, "n width"]:
        shares = np.array(self.weights) / sum(self.weights)
        which = random.choice(len(self.tasks), size=n, p=shares)
        drawn = [task.draw(int((which == i).sum()), random) for i, task in enumerate(self.tasks)]
        return self._rows(which, drawn)

    def text(self, problem: Int[np.ndarray, "width"]) -> tuple[str, str]:
        task = self.tasks[int(problem[0])]
        return task.text(problem[1 : 1 + self._widths[int(problem[0])]])

    def identity(self, problems: Int[np.ndarray, "n width"]) -> Int[np.ndarray, "n width"]:
        which = problems[:, 0]
        same = [task.identity(self._of(problems, i)) for i, task in enumerate(self.tasks)]
        return self._rows(which, same)

    @property
    def _widths(self) -> list[int]:
        return [task.draw(0, np.random.default_rng(0)).shape[1] for task in self.tasks]

    def _of(self, problems: Int[np.ndarray, "n width"], i: int) -> Int[np.ndarray, "m inner"]:
        """The problems of task i, as it knows them."""
        return problems[problems[:, 0] == i, 1 : 1 + self._widths[i]]

    def _rows(
        self, which: Int[np.ndarray, "n"], problems: list[Int[np.ndarray, "m inner"]]
    ) -> Int[np.ndarray, "n width"]:
        """The number of the task, then its problem, padded with 0 to the widest."""
        rows = np.zeros((len(which), 1 + max(part.shape[1] for part in problems)), dtype=np.int64)
        rows[:, 0] = which
        for i, part in enumerate(problems):
            rows[which == i, 1 : 1 + part.shape[1]] = part
        return rows
