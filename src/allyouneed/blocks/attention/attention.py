"""Multi-head attention (Vaswani et al., arXiv:1706.03762, section 3.2), with as many or fewer key heads, over all
that came before or over a window of it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.blocks.attention.attend import attend, attention_weights
from allyouneed.blocks.attention.kv_state import KVState
from allyouneed.blocks.attention.masks import attention_mask, keys_after, last_keys
from allyouneed.blocks.context import Context
from allyouneed.blocks.initial import OutputProjection
from allyouneed.blocks.linear import Linear
from allyouneed.blocks.protocols import BlockConfig, PositionScheme, Sizes


@dataclass(frozen=True)
class Attention:
    """Attention over all keys that the context allows.

    bias: of the projections. out_bias: of the last one, where it differs from the others (Qwen2 has none there).
    scale: of the scores; 1 / sqrt(head_dim) unless given.
    qk_norm: normalises each head's queries, and each head's keys, before they are rotated (Qwen3; Henry et al.,
        arXiv:2010.04245).
    window: how many tokens a query may meet, itself included, counted back from it; padding does not count. What has
        left the window is forgotten. None for all (Jiang et al., arXiv:2310.06825, section 2).
    """

    bias: bool = False
    scale: float | None = None
    out_bias: bool | None = None
    qk_norm: BlockConfig | None = None
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(f"window must be at least 1, the token itself; got {self.window}")

    def build(self, sizes: Sizes, positions: PositionScheme) -> nn.Module:
        """A mixer of n_heads query heads and n_kv_heads key and value heads of head_dim channels."""
        return MultiHeadAttention(
            sizes,
            positions,
            bias=self.bias,
            scale=self.scale,
            out_bias=self.out_bias,
            qk_norm=self.qk_norm,
            window=self.window,
        )


class MultiHeadAttention(nn.Module):
    """Self-attention. Probabilities are not dropped: `sizes.dropout` acts on the residual stream."""

    positions: PositionScheme

    def __init__(
        self,
        sizes: Sizes,
        positions: PositionScheme,
        *,
        bias: bool,
        scale: float | None,
        out_bias: bool | None = None,
        qk_norm: BlockConfig | None = None,
        window: int | None = None,
    ) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim = sizes.n_heads, sizes.n_kv_heads, sizes.head_dim
        self.scale = sizes.head_dim**-0.5 if scale is None else scale
        self.window = window
        self.q = Linear(sizes.d_model, sizes.n_heads * sizes.head_dim, bias=bias)
        self.k = Linear(sizes.d_model, sizes.n_kv_heads * sizes.head_dim, bias=bias)
        self.v = Linear(sizes.d_model, sizes.n_kv_heads * sizes.head_dim, bias=bias)
        out_bias = bias if out_bias is None else out_bias
        self.out = OutputProjection(sizes.n_heads * sizes.head_dim, sizes.d_model, out_bias, sizes.n_layers)
        a_head = replace(sizes, d_model=sizes.head_dim)
        self.q_norm = nn.Identity() if qk_norm is None else qk_norm.build(a_head)
        self.k_norm = nn.Identity() if qk_norm is None else qk_norm.build(a_head)
        # Not registered: the stack owns the scheme, whose weights would be listed again under every layer.
        object.__setattr__(self, "positions", positions)

    def new_state(
        self, batch_size: int, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> KVState:
        """No keys yet."""
        return KVState.empty(batch_size, self.n_kv_heads, self.head_dim, device, dtype)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: KVState | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], KVState | None]:
        """Each token's mixture of the values it may see, and the state with these tokens appended.

        To a record that has a list "attention" the weights (batch, heads, seq, keys) are added; only then, for they
        take more memory than all else.
        """
        q = self.q_norm(self.q(x).unflatten(-1, (self.n_heads, self.head_dim)))
        k = self.k_norm(self.k(x).unflatten(-1, (self.n_kv_heads, self.head_dim)))
        v = self.v(x).unflatten(-1, (self.n_kv_heads, self.head_dim))
        q, k = self.positions.rotate(q, k, ctx)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        slots = keys_after(state.slots if state is not None else None, ctx)
        if state is not None:
            state = state.append(k, v, slots)
            k, v = state.keys.to(q.dtype), state.values.to(q.dtype)  # read under another autocast, perhaps
        bias = self.positions.score_bias(ctx, slots.positions)
        mask = attention_mask(ctx, slots, self.window)
        y = attend(q, k, v, mask, bias, self.scale)
        if ctx.record is not None and "attention" in ctx.record:
            ctx.record["attention"].append(attention_weights(q, k, mask, bias, self.scale))
        if state is not None and self.window is not None:
            state = state.keep(*last_keys(slots, self.window - 1, ctx))
        return self.out(y.transpose(1, 2).flatten(2)), state
