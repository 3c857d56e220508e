"""A trained encoder as a classifier: one linear layer over the mean of a text's vectors."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.blocks.initial import initialize
from allyouneed.blocks.linear import Linear
from allyouneed.blocks.pooling import mean_pool
from allyouneed.data.batch import IGNORE
from allyouneed.data.chats.labelled_batches import LabelledBatch
from allyouneed.models.encoder import Encoder
from allyouneed.objectives import Loss, cross_entropy


class Classifier(nn.Module):
    """The encoder may hold adapters: `add_adapter(model.encoder, ...)` leaves the head to be trained."""

    def __init__(self, encoder: Encoder, n_classes: int, seed: int = 0) -> None:
        super().__init__()
        self.head = Linear(encoder.config.d_model, n_classes)
        initialize(self.head, seed)
        self.encoder = encoder

    def forward(
        self, tokens: Int[Tensor, "batch seq"], mask: Bool[Tensor, "batch seq"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """A logit for each class."""
        return self.head(mean_pool(self.encoder.hidden(tokens, mask), mask))


def classify_texts(model: nn.Module, batch: LabelledBatch) -> Loss:
    """Cross-entropy of each text's label, in nats."""
    return Loss(cross_entropy(model(batch.tokens, batch.mask), batch.labels, IGNORE), len(batch.labels))
