"""Masked language modelling: restore tokens that were hidden, from both sides.

Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", 2018, arXiv:1810.04805, section 3.1 (Task 1) and appendix A.1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from allyouneed.data.batch import IGNORE, TokenBatch
from allyouneed.objectives.loss import Loss
from allyouneed.objectives.token_loss import predict, token_loss


def mask_tokens(
    tokens: Int[Tensor, "batch seq"],
    mask_token: int,
    vocab_size: int,
    rate: float = 0.15,
    valid: Bool[Tensor, "batch seq"] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]:
    """Corrupt `rate` of each row's valid tokens, at least one; returns (inputs, targets).

    Of the chosen tokens 80 % become `mask_token`, 10 % a random token of the vocabulary and 10 % stay.
    Targets hold the original token where it was chosen and -100 elsewhere. Draws come from `generator`,
    which lives on the tokens' device, or from torch's global one.
    Raises ValueError unless 0 < rate <= 1.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate must lie in (0, 1], got {rate}")
    allowed = torch.ones_like(tokens, dtype=torch.bool) if valid is None else valid
    order, fate = torch.rand((2, *tokens.shape), generator=generator, device=tokens.device)
    # A fixed number a row, as in the paper: independent coins would now and then choose nothing at all.
    wanted = (allowed.sum(dim=1) * rate).round().clamp(min=1)
    rank = order.masked_fill(~allowed, 2.0).argsort(dim=1).argsort(dim=1)
    chosen = (rank < wanted[:, None]) & allowed
    noise = torch.randint(vocab_size, tokens.shape, generator=generator, device=tokens.device, dtype=tokens.dtype)
    inputs = torch.where(chosen & (fate < 0.8), mask_token, tokens)
    inputs = torch.where(chosen & (fate >= 0.9), noise, inputs)
    return inputs, torch.where(chosen, tokens, IGNORE)


@dataclass(frozen=True)
class MaskedLM:
    """The objective: hides tokens anew in every batch, with torch's global generator, and scores only those."""

    mask_token: int
    vocab_size: int
    rate: float = 0.15

    def __call__(self, model: nn.Module, batch: TokenBatch) -> Loss:
        """Cross-entropy of the hidden tokens; `batch.targets` is not read."""
        inputs, targets = mask_tokens(batch.tokens, self.mask_token, self.vocab_size, self.rate, batch.mask)
        return token_loss(predict(model, inputs, batch), targets)
