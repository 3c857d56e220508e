"""An exponential moving average of the weights, kept beside training."""

from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.training.weights import copy_weights, lent


class EMA:
    """average <- decay * average + (1 - decay) * weights, once a step, starting at the weights as they are.

    Use it in training with `fit(..., after_step=[ema.update], keep={"ema": ema})`. Parameters are
    averaged; buffers are not.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Raises ValueError unless 0 <= decay < 1."""
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.decay = decay
        self._average = copy_weights(model)

    @torch.no_grad()
    def update(self, step: int, model: nn.Module) -> None:
        """Move the average towards the model's weights."""
        weights = [parameter.detach() for parameter in model.parameters()]
        torch._foreach_lerp_(list(self._average.values()), weights, 1 - self.decay)

    def weights(self) -> dict[str, Float[Tensor, "..."]]:
        """The averaged weights by parameter name; the tensors themselves, not copies."""
        return dict(self._average)

    def applied(self, model: nn.Module) -> AbstractContextManager[None]:
        """Within the block the model has the averaged weights; afterwards its own again."""
        return lent(model, self._average)

    def state_dict(self) -> dict[str, Tensor]:
        """The average by parameter name."""
        return self.weights()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over a saved average of the same parameters. Raises ValueError if the names differ."""
        if state.keys() != self._average.keys():
            raise ValueError(f"the saved average is of other parameters: {sorted(state.keys() ^ self._average.keys())}")
        for name, tensor in self._average.items():
            tensor.copy_(state[name])
