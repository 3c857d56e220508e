"""Attention: the mixer in which each token looks at the others."""

from allyouneed.blocks.attention.attend import attend as attend
from allyouneed.blocks.attention.attend import attend_reference as attend_reference
from allyouneed.blocks.attention.attention import Attention as Attention
from allyouneed.blocks.attention.cross import CrossAttention as CrossAttention
from allyouneed.blocks.attention.kv_state import KVState as KVState
from allyouneed.blocks.attention.masks import Mask as Mask

__all__ = ["Attention", "CrossAttention", "KVState", "Mask", "attend", "attend_reference"]
