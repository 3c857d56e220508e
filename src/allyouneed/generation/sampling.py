"""Choosing the next token from its logits. Pure functions of tensors."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def filter_logits(
    logits: Float[Tensor, "batch vocab"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "batch vocab"]:
    """Logits divided by `temperature`, those of tokens that may not be drawn at minus infinity.

    top_k: only the k likeliest tokens, and any that tie with the last of them.
    top_p: only the likeliest tokens until their probabilities, after temperature and top_k, reach p; the one that
        reaches it included (Holtzman et al., arXiv:1904.09751, section 3.1).
    """
    logits = logits / temperature
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p is not None:
        ordered, order = logits.sort(descending=True)
        probabilities = ordered.softmax(-1)
        reached_before = probabilities.cumsum(-1) - probabilities >= top_p
        reached_before[:, 0] = False
        logits = logits.masked_fill(reached_before.scatter(-1, order, reached_before), -torch.inf)
    return logits


def sample(
    logits: Float[Tensor, "batch vocab"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch"]:
    """One token a row: the likeliest at temperature 0, else drawn from the filtered distribution.

    Computed in float32 at least. Raises ValueError for settings out of range.
    """
    check_sampling(temperature, top_k, top_p)
    if temperature == 0:
        return logits.argmax(-1)
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probabilities = filter_logits(exact, temperature, top_k, top_p).softmax(-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raises ValueError unless temperature >= 0, top_k >= 1 and top_p lies in (0, 1]."""
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0 (0 takes the likeliest token), got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}")
