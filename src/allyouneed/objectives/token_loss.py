"""What the language-model objectives share: a model's predictions for a batch, and their cross-entropy."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from allyouneed.data.batch import IGNORE, TokenBatch
from allyouneed.objectives.cross_entropy import cross_entropy
from allyouneed.objectives.loss import Loss


def token_loss(
    logits: Float[Tensor, "batch seq vocab"],
    targets: Int[Tensor, "batch seq"],
    ignore: int = IGNORE,
    label_smoothing: float = 0.0,
) -> Loss:
    """Sum of -log p(target) in nats over the positions whose target is not `ignore`, and their number.

    label_smoothing: the share of each target that is spread evenly over the whole vocabulary. Padding gets
        none of it, for positions that are not scored cost nothing.

    Computed in float32 at least, whatever the precision of the logits.
    """
    total = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore, label_smoothing)
    return Loss(total, (targets != ignore).sum())


def predict(model: nn.Module, tokens: Int[Tensor, "batch seq"], batch: TokenBatch) -> Float[Tensor, "batch seq vocab"]:
    """Logits for `tokens` in the surroundings of `batch`: its mask and segments are passed where it has them,
    so that a model need only take what its data uses."""
    surroundings = {"mask": batch.mask, "segments": batch.segments}
    return model(tokens, **{name: value for name, value in surroundings.items() if value is not None})
