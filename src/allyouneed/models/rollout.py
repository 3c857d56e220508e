"""Attention rollout: how much of each token is in each, through all layers.

Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020, arXiv:2005.00928, section 3; what
arXiv:2010.11929 draws over its pictures (appendix D.7).

    A~_l = (A_l + I) / 2        heads averaged; I for what goes past the layer
    rollout = A~_L ... A~_1
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from allyouneed.models.modes import evaluation_mode
from allyouneed.models.vision import Pixels, VisionEncoder


def attention_rollout(maps: Sequence[Float[Tensor, "batch heads seq seq"]]) -> Float[Tensor, "batch seq seq"]:
    """Row i: the shares of the tokens that were read in token i that left; they sum to 1. `maps`: first layer first."""
    rollout = torch.eye(maps[0].shape[-1], dtype=maps[0].dtype, device=maps[0].device)
    for layer in maps:
        rollout = (layer.mean(1) @ rollout + rollout) / 2
    return rollout


@torch.inference_mode()
def rollout_of(model: VisionEncoder, pixels: Pixels) -> Float[Tensor, "batch rows columns"]:
    """What the class token has of each patch, in the grid of the picture; the shares sum to 1."""
    record: dict[str, list[Tensor]] = {"attention": []}
    with evaluation_mode(model):
        model.hidden(pixels, record)
    shares = attention_rollout(record["attention"])[:, 0, 1:]
    return (shares / shares.sum(1, keepdim=True)).unflatten(1, model.config.grid)
