"""Where the norm stands: in front of a sublayer, inside its branch (Pre-LN), or on the stream after it (Post-LN).

Xiong, Yang, He, Zheng, Zheng, Xing, Zhang, Lan, Wang and Liu, "On Layer Normalization in the Transformer
Architecture", 2020, arXiv:2002.04745.

The idea: a norm divides what flows back through it by the size of what it read. On the stream, as the original
transformer has it, it reads the same size after every layer, and the last layers' gradients are large however many
layers there are. Inside the branches it leaves the stream alone, which grows with every layer; the one norm at the end
then divides by that, and a deep model starts with small gradients, so that training needs no warm-up.

    pre     x <- x + sublayer(norm(x)), and norm(x) once more before the head
    post    x <- norm(x + sublayer(x))

    At the start, after l of L layers of width d (Lemma 2, Theorem 1):
    pre     (1 + l/2) d <= E |x|^2 <= (1 + 3l/2) d       |dLoss / dW^(2,L)|_F = O(d sqrt(ln d / L))
    post    E |x|^2 = 3/2 d, in front of the norm        |dLoss / dW^(2,L)|_F = O(d sqrt(ln d))

| here         | paper                  | meaning                                                           |
| ------------ | ---------------------- | ----------------------------------------------------------------- |
| `x`          | x_(l,i)                | the residual stream at token i, after l layers (section 3.1)      |
| `sublayers`  | MultiHeadAtt, FFN      | attention, then the feed-forward; any others fit as well          |
| `norms`      | LayerNorm              | one for each sublayer (Table 1)                                   |
| `final_norm` | x^pre_Final            | pre-norm's last, before the head; a stack builds it, not a layer  |
| `down`       | W^(2,l)                | the feed-forward's second matrix, of which the theorem speaks     |
"""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.blocks.context import Context
from allyouneed.blocks.protocols import BlockConfig, Sizes, Sublayer


class Layer(nn.Module):
    """Sublayers one after the other, each with a norm of its own; subclasses say how each is added.

    Its state is the tuple of its sublayers' states. What a sublayer adds is dropped at `sizes.dropout`.
    """

    def __init__(self, sizes: Sizes, sublayers: dict[str, nn.Module], norm: BlockConfig) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({name: norm.build(sizes) for name in sublayers})
        self.sublayers = nn.ModuleDict(sublayers)
        self.dropout = nn.Dropout(sizes.dropout)

    def new_state(
        self, batch_size: int, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> tuple[Any, ...]:
        """Each sublayer's state before the first token."""
        sublayers = cast(list[Sublayer], self.sublayers.values())
        return tuple(sublayer.new_state(batch_size, device, dtype) for sublayer in sublayers)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: tuple[Any, ...] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], tuple[Any, ...] | None]:
        """The residual stream after this layer, and the layer's state (None for None)."""
        before = state if state is not None else (None,) * len(self.sublayers)
        after = []
        for norm, sublayer, sublayer_state in zip(self.norms.values(), self.sublayers.values(), before):
            x, sublayer_state = self.add(x, norm, sublayer, ctx, sublayer_state)
            after.append(sublayer_state)
        return x, tuple(after) if state is not None else None

    def add(
        self, x: Float[Tensor, "batch seq d_model"], norm: nn.Module, sublayer: nn.Module, ctx: Context, state: Any
    ) -> tuple[Float[Tensor, "batch seq d_model"], Any]:
        """The stream after one sublayer, and the sublayer's state."""
        raise NotImplementedError


class PreNormLayer(Layer):
    """x + sublayer(norm(x))."""

    def add(
        self, x: Float[Tensor, "batch seq d_model"], norm: nn.Module, sublayer: nn.Module, ctx: Context, state: Any
    ) -> tuple[Float[Tensor, "batch seq d_model"], Any]:
        """The norm stands inside the branch."""
        update, state = sublayer(norm(x), ctx, state)
        return x + self.dropout(update), state


class PostNormLayer(Layer):
    """norm(x + sublayer(x))."""

    def add(
        self, x: Float[Tensor, "batch seq d_model"], norm: nn.Module, sublayer: nn.Module, ctx: Context, state: Any
    ) -> tuple[Float[Tensor, "batch seq d_model"], Any]:
        """The norm stands on the stream."""
        update, state = sublayer(x, ctx, state)
        return norm(x + self.dropout(update)), state


@dataclass(frozen=True)
class PreNorm:
    """Norms inside the branches; the stack adds a final one."""

    final_norm: ClassVar[bool] = True

    def build(self, sizes: Sizes, sublayers: dict[str, nn.Module], norm: BlockConfig) -> nn.Module:
        """A layer of the given sublayers, by name and in their order."""
        return PreNormLayer(sizes, sublayers, norm)


@dataclass(frozen=True)
class PostNorm:
    """Norms on the stream, after each sum; nothing is left to normalise at the end."""

    final_norm: ClassVar[bool] = False

    def build(self, sizes: Sizes, sublayers: dict[str, nn.Module], norm: BlockConfig) -> nn.Module:
        """A layer of the given sublayers, by name and in their order."""
        return PostNormLayer(sizes, sublayers, norm)


class ParallelLayer(Layer):
    """x + the sum of sublayer(norm(x)), all of one x."""

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: tuple[Any, ...] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], tuple[Any, ...] | None]:
        """The residual stream after this layer, and the layer's state (None for None)."""
        before = state if state is not None else (None,) * len(self.sublayers)
        after, update = [], torch.zeros_like(x)
        for norm, sublayer, sublayer_state in zip(self.norms.values(), self.sublayers.values(), before):
            part, sublayer_state = sublayer(norm(x), ctx, sublayer_state)
            update = update + self.dropout(part)
            after.append(sublayer_state)
        return x + update, tuple(after) if state is not None else None


@dataclass(frozen=True)
class Parallel:
    """All sublayers read the stream as it enters the layer, each through a norm of its own (GPT-NeoX; Wang and
    Komatsuzaki, "GPT-J-6B", 2021, have one norm for both); the stack adds a final norm."""

    final_norm: ClassVar[bool] = True

    def build(self, sizes: Sizes, sublayers: dict[str, nn.Module], norm: BlockConfig) -> nn.Module:
        """A layer of the given sublayers, by name and in their order."""
        return ParallelLayer(sizes, sublayers, norm)
