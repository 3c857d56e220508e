"""The loss of a model on held-out batches, the same for the same weights whenever it is asked."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from allyouneed.models.modes import evaluation_mode
from allyouneed.objectives.loss import Objective
from allyouneed.training.nest import map_tensors
from allyouneed.training.rng import seeded


def evaluate(model: nn.Module, objective: Objective, batches: Iterable[Any], seed: int = 0) -> float:
    """Mean loss per scored item over finite `batches`, in evaluation mode and without gradients.

    What the objective draws from torch's generator (masks, noise) follows from `seed` alone, so that
    every arm and every call is scored on the same draws; the global generator and each module's mode
    are afterwards what they were. Raises ValueError if the batches score nothing.
    """
    device = next(model.parameters()).device
    total, count = 0.0, 0.0
    with seeded(seed, device), evaluation_mode(model), torch.inference_mode():
        for batch in batches:
            loss = objective(model, map_tensors(lambda tensor: tensor.to(device), batch))
            total += float(loss.total)
            count += float(loss.count)
    if count == 0:
        raise ValueError("evaluate: the batches score nothing; is the stream empty, or every target left out?")
    return total / count
