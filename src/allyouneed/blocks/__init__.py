"""Blocks: the ideas that models are made of, one a file. A block's config builds it; a context feeds it."""

from allyouneed.blocks.attention import Attention as Attention
from allyouneed.blocks.attention import CrossAttention as CrossAttention
from allyouneed.blocks.context import Context as Context
from allyouneed.blocks.feedforward import Gelu as Gelu
from allyouneed.blocks.feedforward import Relu as Relu
from allyouneed.blocks.feedforward import SwiGLU as SwiGLU
from allyouneed.blocks.norms import LayerNorm as LayerNorm
from allyouneed.blocks.norms import RMSNorm as RMSNorm
from allyouneed.blocks.positions import Learned as Learned
from allyouneed.blocks.positions import NoPositions as NoPositions
from allyouneed.blocks.positions import Rope as Rope
from allyouneed.blocks.positions import Sinusoidal as Sinusoidal
from allyouneed.blocks.residual import PostNorm as PostNorm
from allyouneed.blocks.residual import PreNorm as PreNorm

__all__ = [
    "Attention",
    "Context",
    "CrossAttention",
    "Gelu",
    "LayerNorm",
    "Learned",
    "NoPositions",
    "PostNorm",
    "PreNorm",
    "RMSNorm",
    "Relu",
    "Rope",
    "Sinusoidal",
    "SwiGLU",
]
