"""How likely a model finds whole answers: the sums of log-probabilities that alignment losses are functions of."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.data.batch import IGNORE


def sequence_logprobs(
    model: nn.Module, tokens: Int[Tensor, "rows seq"], targets: Int[Tensor, "rows seq"]
) -> Float[Tensor, "rows"]:
    """For each row the sum of log p(target), in nats, over the positions whose target is not -100.

    Padding on the right needs no mask under a causal model. Logits are made only where something is scored: they are
    most of the memory where the vocabulary is large, and a prompt has none of them. In float32 at least.
    """
    scored = targets != IGNORE
    logits = model.head(model.hidden(tokens)[scored])  # type: ignore[operator]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_p = -F.cross_entropy(logits, targets[scored], reduction="none")
    rows = torch.arange(len(tokens), device=tokens.device)[:, None].expand_as(targets)[scored]
    return log_p.new_zeros(len(tokens)).index_add(0, rows, log_p)


def n_scored(targets: Int[Tensor, "*rows seq"]) -> Int[Tensor, "*rows"]:
    """How many tokens of each row are scored."""
    return (targets != IGNORE).sum(-1)
