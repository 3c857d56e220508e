"""Classification of pictures: name the class of each."""

from torch import nn

from allyouneed.data.batch import IGNORE
from allyouneed.data.images.batches import ImageBatch
from allyouneed.objectives.cross_entropy import cross_entropy
from allyouneed.objectives.loss import Loss


def classify(model: nn.Module, batch: ImageBatch) -> Loss:
    """Cross-entropy in nats of each picture's class; the share of right ones is logged as "accuracy"."""
    logits = model(batch.pixels)
    accuracy = (logits.detach().argmax(1) == batch.labels).float().mean()
    return Loss(cross_entropy(logits, batch.labels, IGNORE), len(batch.labels), {"accuracy": accuracy})
