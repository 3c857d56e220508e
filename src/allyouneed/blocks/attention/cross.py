"""Attention from one sequence to another (Vaswani et al., arXiv:1706.03762, section 3.2.3, first case).

The idea: queries come from the tokens of this stack, keys and values from the memory that another has read.

    y = softmax(q(x) k(memory)^T / sqrt(head_dim)) v(memory)

No query is barred from any real vector of the memory, and no positions are applied: those of the memory are in
its vectors.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.blocks.attention.attend import attend, attention_weights
from allyouneed.blocks.attention.attention import MultiHeadAttention
from allyouneed.blocks.attention.kv_state import KVState
from allyouneed.blocks.attention.masks import Keys, Mask
from allyouneed.blocks.context import Context, Memory
from allyouneed.blocks.protocols import PositionScheme, Sizes


@dataclass(frozen=True)
class CrossAttention:
    """Attention over the context's memory.

    bias: of all four projections. scale: of the scores; 1 / sqrt(head_dim) unless given.
    """

    bias: bool = False
    scale: float | None = None

    def build(self, sizes: Sizes, positions: PositionScheme) -> nn.Module:
        """A mixer of n_heads query heads and n_kv_heads key and value heads; the scheme goes unused."""
        return MultiHeadCrossAttention(sizes, positions, bias=self.bias, scale=self.scale)


class MultiHeadCrossAttention(MultiHeadAttention):
    """Multi-head attention whose keys and values are those of the memory.

    Its state holds them from the first forward on; so a state belongs to one memory.
    """

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: KVState | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], KVState | None]:
        """Each token's mixture of the memory's values (0 where all of it is padding), and the state that has them.

        If the context has a record, the weights (batch, heads, seq, source) are added to its "cross_attention".
        Raises ValueError if the context has no memory.
        """
        memory = ctx.memory
        if memory is None:
            raise ValueError(
                "cross-attention has no memory to read: give the forward memory=..., "
                "or make the state with new_state(batch_size, memory)"
            )
        q = self.q(x).unflatten(-1, (self.n_heads, self.head_dim)).transpose(1, 2)
        if state is not None and state.used:
            k, v = state.keys.to(q.dtype), state.values.to(q.dtype)  # read under another autocast, perhaps
        else:
            k = self.k(memory.vectors).unflatten(-1, (self.n_kv_heads, self.head_dim)).transpose(1, 2)
            v = self.v(memory.vectors).unflatten(-1, (self.n_kv_heads, self.head_dim)).transpose(1, 2)
            if state is not None:
                state = state.append(k, v, ctx.once("keys of the memory", lambda: _keys(memory)))
        mask = ctx.once("mask of the memory", lambda: _mask(memory))
        y = attend(q, k, v, mask, scale=self.scale)
        if ctx.record is not None:
            ctx.record.setdefault("cross_attention", []).append(attention_weights(q, k, mask, scale=self.scale))
        return self.out(y.transpose(1, 2).flatten(2)), state


def _keys(memory: Memory) -> Keys:
    slots = torch.arange(memory.vectors.shape[1], device=memory.vectors.device)
    return Keys(slots[None], memory.valid, None, slots.new_zeros(1))


def _mask(memory: Memory) -> Mask:
    return Mask() if memory.valid is None else Mask.of(memory.valid[:, None, None, :])
