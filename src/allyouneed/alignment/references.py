"""Where the reference's log-probabilities come from. Each is a function `(model, batch) -> (pairs, 2)` in nats.

The first two hold one model in memory. Made beforehand, they also save a third of the work of every step.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.adaptation import adapters_off
from allyouneed.alignment.sequences import sequence_logprobs
from allyouneed.data.preferences.batches import PreferenceBatch
from allyouneed.models.modes import evaluation_mode
from allyouneed.training.nest import map_tensors

Reference = Callable[[nn.Module, PreferenceBatch], Float[Tensor, "pairs 2"]]


def carried(model: nn.Module, batch: PreferenceBatch) -> Float[Tensor, "pairs 2"]:
    """Those that the batch brings along (`with_reference`). Raises ValueError if it has none."""
    if batch.reference is None:
        raise ValueError("the batch carries no reference: give its pairs one by with_reference(logprobs_of(...))")
    return batch.reference


def without_adapters(model: nn.Module, batch: PreferenceBatch) -> Float[Tensor, "pairs 2"]:
    """Those of the model itself with its adapters off."""
    with adapters_off(model):
        return OtherModel(model)(model, batch)


@dataclass(frozen=True)
class OtherModel:
    """Those of a second model, which is not trained."""

    reference: nn.Module

    def __call__(self, model: nn.Module, batch: PreferenceBatch) -> Float[Tensor, "pairs 2"]:
        """In evaluation mode and without gradients."""
        with torch.no_grad(), evaluation_mode(self.reference):
            return answer_logprobs(self.reference, batch)


def answer_logprobs(model: nn.Module, batch: PreferenceBatch) -> Float[Tensor, "pairs 2"]:
    """The log-probabilities of both answers of each pair, in one forward pass."""
    sums = sequence_logprobs(model, batch.tokens.flatten(0, 1), batch.targets.flatten(0, 1))
    return sums.unflatten(0, (-1, 2))


def logprobs_of(model: nn.Module, batches: Iterable[PreferenceBatch]) -> Float[np.ndarray, "pairs 2"]:
    """The same for all pairs of some batches, to compare with or to carry along; in evaluation mode."""
    device = next(model.parameters()).device
    with evaluation_mode(model), torch.inference_mode():
        parts = [answer_logprobs(model, map_tensors(lambda tensor: tensor.to(device), batch)) for batch in batches]
    return torch.cat(parts).cpu().numpy()
