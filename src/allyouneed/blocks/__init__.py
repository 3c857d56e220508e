"""Blocks: the ideas that models are made of, one a file. A block's config builds it; a context feeds it."""

from allyouneed.blocks.attention import Attention as Attention
from allyouneed.blocks.attention import CrossAttention as CrossAttention
from allyouneed.blocks.context import Context as Context
from allyouneed.blocks.feedforward import GLU as GLU
from allyouneed.blocks.feedforward import Bilinear as Bilinear
from allyouneed.blocks.feedforward import GeGLU as GeGLU
from allyouneed.blocks.feedforward import Gelu as Gelu
from allyouneed.blocks.feedforward import ReGLU as ReGLU
from allyouneed.blocks.feedforward import Relu as Relu
from allyouneed.blocks.feedforward import Silu as Silu
from allyouneed.blocks.feedforward import SwiGLU as SwiGLU
from allyouneed.blocks.heads import LMHead as LMHead
from allyouneed.blocks.heads import MaskedLMHead as MaskedLMHead
from allyouneed.blocks.heads import NoHead as NoHead
from allyouneed.blocks.mixers import Mamba as Mamba
from allyouneed.blocks.norms import LayerNorm as LayerNorm
from allyouneed.blocks.norms import RMSNorm as RMSNorm
from allyouneed.blocks.patches import Patches as Patches
from allyouneed.blocks.pooling import FirstToken as FirstToken
from allyouneed.blocks.pooling import FirstTokenPooler as FirstTokenPooler
from allyouneed.blocks.pooling import mean_pool as mean_pool
from allyouneed.blocks.positions import Learned as Learned
from allyouneed.blocks.positions import LinearScaling as LinearScaling
from allyouneed.blocks.positions import Llama3Scaling as Llama3Scaling
from allyouneed.blocks.positions import NoPositions as NoPositions
from allyouneed.blocks.positions import RelativeBias as RelativeBias
from allyouneed.blocks.positions import Rope as Rope
from allyouneed.blocks.positions import Sinusoidal as Sinusoidal
from allyouneed.blocks.positions import Yarn as Yarn
from allyouneed.blocks.residual import Parallel as Parallel
from allyouneed.blocks.residual import PostNorm as PostNorm
from allyouneed.blocks.residual import PreNorm as PreNorm

__all__ = [
    "GLU",
    "Attention",
    "Bilinear",
    "Context",
    "CrossAttention",
    "FirstToken",
    "FirstTokenPooler",
    "GeGLU",
    "Gelu",
    "LMHead",
    "LayerNorm",
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "Mamba",
    "MaskedLMHead",
    "NoHead",
    "NoPositions",
    "Parallel",
    "Patches",
    "PostNorm",
    "PreNorm",
    "RMSNorm",
    "ReGLU",
    "RelativeBias",
    "Relu",
    "Rope",
    "Silu",
    "Sinusoidal",
    "SwiGLU",
    "Yarn",
    "mean_pool",
]
