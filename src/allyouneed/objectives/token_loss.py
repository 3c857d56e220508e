"""What the language-model objectives share: a model's predictions for a batch, and their cross-entropy."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from allyouneed.data.batch import IGNORE, TokenBatch
from allyouneed.objectives.cross_entropy import cross_entropy
from allyouneed.objectives.loss import Loss


def token_loss(
    logits: Float[Tensor, "batch seq vocab"], targets: Int[Tensor, "batch seq"], ignore: int = IGNORE
) -> Loss:
    """Sum of -log p(target) in nats over the positions whose target is not `ignore`, and their number.

    Computed in float32 at least, whatever the precision of the logits.
    """
    return Loss(cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore), (targets != ignore).sum())


def predict(model: nn.Module, tokens: Int[Tensor, "batch seq"], batch: TokenBatch) -> Float[Tensor, "batch seq vocab"]:
    """Logits for `tokens` in the surroundings of `batch`: its mask and segments are passed where it has them,
    so that a model need only take what its data uses."""
    surroundings = {"mask": batch.mask, "segments": batch.segments}
    return model(tokens, **{name: value for name, value in surroundings.items() if value is not None})
