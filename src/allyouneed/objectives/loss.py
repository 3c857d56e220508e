"""What an objective returns: a sum over scored items and their number, so that parts of a batch add up exactly."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Loss:
    """The loss of one batch, or of a part of it.

    `total` is the sum over the scored items (tokens, mostly) and `count` how many there are. Summing
    both over micro-batches and dividing once gives the loss of the whole batch however raggedly the
    scored items are spread. `metrics` are further numbers to log, each a mean over the same items.
    """

    total: Float[Tensor, ""]
    count: Int[Tensor, ""] | int
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> Float[Tensor, ""]:
        """The loss per scored item; NaN when nothing was scored."""
        return self.total / self.count

    def plus(self, auxiliary: Float[Tensor, ""], weight: float = 1.0, name: str | None = None) -> "Loss":
        """Add `weight` times a loss that is a mean already (a router's balance, a penalty).

        It enters the total weighted by the count, so that `mean` grows by exactly `weight * auxiliary`.
        With a `name` its value is logged beside the loss.
        """
        metrics = self.metrics if name is None else self.metrics | {name: auxiliary.detach()}
        return replace(self, total=self.total + weight * auxiliary * self.count, metrics=metrics)


Objective = Callable[[nn.Module, Any], Loss]
"""`objective(model, batch) -> Loss`: the adaptor between a model, a batch and a pure loss."""
