"""Translation: predict every token of a target from those before it and the whole source."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from allyouneed.data.batch import IGNORE, PairBatch
from allyouneed.objectives.loss import Loss
from allyouneed.objectives.token_loss import token_loss


@dataclass(frozen=True)
class Translation:
    """The objective: cross-entropy of `batch.targets`, which the data has shifted already.

    With label smoothing the loss is no longer how likely the data is; "nll" is then logged beside it: the
    negative log likelihood a token, in nats.
    """

    label_smoothing: float = 0.0

    def __call__(self, model: nn.Module, batch: PairBatch) -> Loss:
        """The model reads the source, and the tokens before each target."""
        logits = model(batch.source, batch.tokens, mask=batch.source_mask)
        loss = token_loss(logits, batch.targets, label_smoothing=self.label_smoothing)
        if not self.label_smoothing:
            return loss
        # Smoothed and plain loss differ by label_smoothing (logit of the target - mean logit); no softmax is needed.
        nll = loss.total.detach() - self.label_smoothing * _lead(logits.detach(), batch.targets)
        return replace(loss, metrics={"nll": nll / torch.as_tensor(loss.count).clamp(min=1)})


def _lead(logits: Float[Tensor, "batch seq vocab"], targets: Int[Tensor, "batch seq"]) -> Float[Tensor, ""]:
    """Logit of the target minus the mean of all, summed over the positions that are scored."""
    scored, exact = targets != IGNORE, torch.promote_types(logits.dtype, torch.float32)
    right = logits.gather(2, targets.where(scored, 0)[:, :, None]).squeeze(2)
    return (right.to(exact) - logits.mean(2, dtype=exact)).where(scored, 0).sum()
