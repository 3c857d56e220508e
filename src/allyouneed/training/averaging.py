"""The mean of the last checkpoints of a training, which translates better than the last one alone.

Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, section 6.1: the base models are the
mean of their last 5 checkpoints, the big ones of 20, written every ten minutes.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from allyouneed.training.weights import Weights, copy_weights, lent


class CheckpointAverage:
    """mean of the weights at the `last` latest steps that are multiples of `every`; of fewer while there are fewer.

    Use it in training with `fit(..., after_step=[average.update], keep={"average": average})`; where `every`
    divides `max_steps`, the last of the snapshots is the trained model itself. Parameters are averaged;
    buffers are not. The snapshots are kept in the computer's memory, not the model's device, and go into
    each of the training's checkpoints: both hold `last` more copies of the weights.
    """

    def __init__(self, model: nn.Module, last: int, every: int) -> None:
        """Raises ValueError unless `last` and `every` are at least 1."""
        if last < 1 or every < 1:
            raise ValueError(f"last and every must be at least 1, got {last} and {every}")
        self.last, self.every = last, every
        self._names = {name for name, _ in model.named_parameters()}
        self._snapshots: list[Weights] = []

    def update(self, step: int, model: nn.Module) -> None:
        """Take a snapshot if one is due after this step, and let go of the oldest beyond `last`."""
        if step % self.every == 0:
            self._snapshots = [*self._snapshots, copy_weights(model, "cpu")][-self.last :]

    def weights(self) -> Weights:
        """The mean by parameter name. Raises ValueError before the first snapshot."""
        if not self._snapshots:
            raise ValueError(f"nothing to average yet: the first snapshot is taken after step {self.every}")
        return {name: torch.stack([taken[name] for taken in self._snapshots]).mean(0) for name in self._snapshots[0]}

    def applied(self, model: nn.Module) -> AbstractContextManager[None]:
        """Within the block the model has the averaged weights; afterwards its own again."""
        return lent(model, self.weights())

    def state_dict(self) -> dict[str, Any]:
        """The snapshots, oldest first, and how they were taken."""
        return {"last": self.last, "every": self.every, "snapshots": list(self._snapshots)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over saved snapshots. Raises ValueError if they are of other parameters or were taken otherwise."""
        taken = state["last"], state["every"]
        if taken != (self.last, self.every):
            raise ValueError(
                "the saved average is of the last {} snapshots, one every {} steps; ".format(*taken)
                + f"this one of the last {self.last}, one every {self.every}"
            )
        for snapshot in state["snapshots"]:
            if snapshot.keys() != self._names:
                raise ValueError(f"the saved average is of other parameters: {sorted(snapshot.keys() ^ self._names)}")
        self._snapshots = list(state["snapshots"])
