"""Choosing the next token from its logits. Pure functions of tensors."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """From which distribution tokens are drawn. What is None is off; what is on is done in the order of the rows:

    | setting | what it does |
    | --- | --- |
    | repetition_penalty | divides positive logits of what the row has read or written, multiplies negative ones |
    | temperature | divides the logits; 0 takes the likeliest token, and nothing below matters |
    | top_k | keeps the k likeliest tokens, and any that tie with the last of them |
    | top_p | keeps the likeliest tokens until their probabilities reach p; the one that reaches it included |
    | min_p | keeps the tokens that are at least min_p times as probable as the likeliest |

    top_p is of Holtzman et al., arXiv:1904.09751, section 3.1; min_p of Nguyen et al., arXiv:2407.01082, section 3.
    The penalty is of Keskar et al., arXiv:1909.05858, section 4.1 (there 1.2). They divide every logit, which makes
    a token with a negative one likelier; multiplying those is what everybody does since, transformers included.

    Raises ValueError for settings out of range.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be at least 0 (0 takes the likeliest token), got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")
        for name, share in (("top_p", self.top_p), ("min_p", self.min_p)):
            if share is not None and not 0 < share <= 1:
                raise ValueError(f"{name} must lie in (0, 1], got {share}")
        if self.repetition_penalty is not None and not 0 < self.repetition_penalty < math.inf:
            raise ValueError(f"repetition_penalty must be above 0 (1 changes nothing), got {self.repetition_penalty}")


def warp(
    logits: Float[Tensor, "*batch vocab"], sampling: Sampling, seen: Bool[Tensor, "*batch vocab"] | None = None
) -> Float[Tensor, "*batch vocab"]:
    """Logits whose softmax is the distribution to draw from; tokens that may not be drawn are at minus infinity.

    seen: True at tokens that count as repeated (`seen_tokens`); only a repetition penalty needs it.

    Computed in float32 at least. Raises ValueError for a repetition penalty without `seen`.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if sampling.repetition_penalty is not None:
        if seen is None:
            raise ValueError("a repetition penalty needs to know which tokens were seen")
        penalty = sampling.repetition_penalty
        logits = torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
    if sampling.temperature == 0:
        likeliest = logits.argmax(-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(-1, likeliest, 0)
    logits = logits / sampling.temperature
    if sampling.top_k is not None:
        least = logits.topk(min(sampling.top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, order = logits.sort(descending=True)
        probabilities = ordered.softmax(-1)
        reached_before = probabilities.cumsum(-1) - probabilities >= sampling.top_p
        reached_before[..., 0] = False
        logits = logits.masked_fill(reached_before.scatter(-1, order, reached_before), -torch.inf)
    if sampling.min_p is not None:
        least = logits.amax(-1, keepdim=True) + math.log(sampling.min_p)
        logits = logits.masked_fill(logits < least, -torch.inf)
    return logits


def draw(weights: Float[Tensor, "batch vocab"], uniforms: Float[Tensor, "batch"]) -> Int[Tensor, "batch"]:
    """One token a row with probability proportional to its weight: where the running sum passes `uniforms` times the
    whole. Never one of weight 0.

    uniforms: in [0, 1). Sums are in float64: in float32 those of a large vocabulary lose its rare tokens. Raises
    ValueError for a row whose weights are not numbers or all 0.
    """
    sums = weights.double().cumsum(-1)
    whole = sums[:, -1:]
    if not bool((whole > 0).all()):
        raise ValueError("a row has nothing to draw from: its logits are not numbers, or all minus infinity")
    return torch.searchsorted(sums, uniforms.double()[:, None] * whole, right=True).squeeze(-1)


def sample(
    logits: Float[Tensor, "batch vocab"],
    sampling: Sampling,
    uniforms: Float[Tensor, "batch"],
    seen: Bool[Tensor, "batch vocab"] | None = None,
) -> Int[Tensor, "batch"]:
    """One token a row from the warped distribution; arguments as in `warp` and `draw`."""
    warped = warp(logits, sampling, seen)
    return warped.argmax(-1) if sampling.temperature == 0 else draw(warped.softmax(-1), uniforms)


def seen_tokens(
    tokens: Int[Tensor, "batch seq"], mask: Bool[Tensor, "batch seq"] | None, vocab_size: int
) -> Bool[Tensor, "batch vocab"]:
    """True at the tokens that stand in each row, padding apart."""
    counted = torch.ones_like(tokens) if mask is None else mask.long()
    return tokens.new_zeros(len(tokens), vocab_size).scatter_add(1, tokens, counted) > 0
