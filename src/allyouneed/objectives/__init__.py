"""Pure losses on tensors, and the short objectives `objective(model, batch) -> Loss` that training takes."""

from allyouneed.objectives.causal_lm import causal_lm
from allyouneed.objectives.classification import classify
from allyouneed.objectives.cross_entropy import cross_entropy, cross_entropy_reference
from allyouneed.objectives.in_batch import in_batch_loss
from allyouneed.objectives.loss import Loss, Objective
from allyouneed.objectives.masked_lm import MaskedLM, mask_tokens
from allyouneed.objectives.token_loss import predict, token_loss
from allyouneed.objectives.translation import Translation

__all__ = [
    "Loss",
    "MaskedLM",
    "Objective",
    "Translation",
    "causal_lm",
    "classify",
    "cross_entropy",
    "cross_entropy_reference",
    "in_batch_loss",
    "mask_tokens",
    "predict",
    "token_loss",
]
