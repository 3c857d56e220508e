"""Scaled dot-product attention (Vaswani et al., arXiv:1706.03762, equation 1), plain and fast.

Query heads may outnumber key heads by a whole factor (GQA, Ainslie et al., arXiv:2305.13245; MQA with one): query
head h meets key head h // factor.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from allyouneed.blocks.attention.masks import Block, Mask


def attend_reference(
    q: Float[Tensor, "batch heads queries score_dim"],
    k: Float[Tensor, "batch kv_heads keys score_dim"],
    v: Float[Tensor, "batch kv_heads keys head_dim"],
    allowed: Bool[Tensor, "#batch #heads #queries keys"] | None = None,
    bias: Float[Tensor, "#batch #heads queries keys"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "batch heads queries head_dim"]:
    """softmax(scale q k^T + bias) v over the allowed keys; a query that is allowed none gets 0.

    scale: 1 / sqrt(score_dim) unless given.
    """
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = q @ k.transpose(-1, -2) * (scale if scale is not None else q.shape[-1] ** -0.5)
    if bias is not None:
        scores = scores + bias
    if allowed is None:
        return scores.softmax(-1) @ v
    # The lowest number instead of minus infinity: a row that hides all would be 0 / 0, in the gradient too.
    weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1)
    return weights.masked_fill(~allowed, 0) @ v


def attend(
    q: Float[Tensor, "batch heads queries score_dim"],
    k: Float[Tensor, "batch kv_heads keys score_dim"],
    v: Float[Tensor, "batch kv_heads keys head_dim"],
    mask: Mask,
    bias: Float[Tensor, "#batch #heads queries keys"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "batch heads queries head_dim"]:
    """What `attend_reference` computes, by PyTorch's fused kernels; no mask tensor is made where none is needed."""
    if mask.blocks:
        return torch.cat([_attend_block(q, k, v, block, bias, scale) for block in mask.blocks], dim=2)
    allowed, causal = mask.allowed, mask.causal
    if bias is not None:
        if causal:
            allowed, causal = torch.ones_like(bias, dtype=torch.bool).tril(), False
        bias = bias.to(q.dtype)
        bias = bias if allowed is None else bias.masked_fill(~allowed, -torch.inf)
    y = F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=allowed if bias is None else bias,
        is_causal=causal,
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return y if mask.blind is None else y.masked_fill(mask.blind, 0)


def attention_weights(
    q: Float[Tensor, "batch heads queries score_dim"],
    k: Float[Tensor, "batch kv_heads keys score_dim"],
    mask: Mask,
    bias: Float[Tensor, "#batch #heads queries keys"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "batch heads queries keys"]:
    """The weights themselves: what attention gives when the values are the rows of the identity."""
    identity = torch.eye(k.shape[2], dtype=k.dtype, device=k.device).expand(*k.shape[:2], -1, -1)
    return attend(q, k, identity, mask, bias, scale)


def _attend_block(
    q: Float[Tensor, "batch heads queries score_dim"],
    k: Float[Tensor, "batch kv_heads keys score_dim"],
    v: Float[Tensor, "batch kv_heads keys head_dim"],
    block: Block,
    bias: Float[Tensor, "#batch #heads queries keys"] | None,
    scale: float | None,
) -> Float[Tensor, "batch heads block head_dim"]:
    bias = None if bias is None else bias[:, :, block.queries, block.keys]
    return attend(q[:, :, block.queries], k[:, :, block.keys], v[:, :, block.keys], block.mask, bias, scale)
