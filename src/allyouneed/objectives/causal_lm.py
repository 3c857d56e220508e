"""Causal language modelling: predict every token from those before it."""

from torch import nn

from allyouneed.data.batch import TokenBatch
from allyouneed.objectives.loss import Loss
from allyouneed.objectives.token_loss import predict, token_loss


def causal_lm(model: nn.Module, batch: TokenBatch) -> Loss:
    """Cross-entropy of `batch.targets`, which the data has shifted already: targets[t] follows tokens[t]."""
    return token_loss(predict(model, batch.tokens, batch), batch.targets)
