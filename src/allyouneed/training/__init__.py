"""One training loop, `fit`, with exact resume; optimiser, schedules, averages of weights, and `evaluate`."""

from allyouneed.training.averaging import CheckpointAverage
from allyouneed.training.ema import EMA
from allyouneed.training.evaluate import evaluate
from allyouneed.training.fit import FitResult, NonFiniteLoss, fit
from allyouneed.training.optimizer import adamw
from allyouneed.training.schedules import Schedule, constant, cosine, inverse_sqrt, transformer_lr, wsd
from allyouneed.training.stream import Saved, Stream

__all__ = [
    "EMA",
    "CheckpointAverage",
    "FitResult",
    "NonFiniteLoss",
    "Saved",
    "Schedule",
    "Stream",
    "adamw",
    "constant",
    "cosine",
    "evaluate",
    "fit",
    "inverse_sqrt",
    "transformer_lr",
    "wsd",
]
