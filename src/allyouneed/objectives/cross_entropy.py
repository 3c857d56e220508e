"""Cross-entropy over a vocabulary: the plain form, and one that takes less time and memory in training.

Torch's own goes over all logits several times, in float32, and keeps what the backward pass needs; with
a vocabulary a hundred times the width of the model that is a good part of a training step. The fast form
takes a few rows at a time while they lie in the cache, and leaves there and then their gradient,

    d loss / d logits = softmax(logits) - onehot(target),

in the logits' own type: nothing else is kept. With label smoothing (Szegedy et al., arXiv:1512.00567,
section 7) the target is (1 - label_smoothing) onehot + label_smoothing / vocab in place of onehot.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Logits of one block: 4 MiB of float32 stay in a core's cache; a GPU wants few, large blocks instead.
CPU_BLOCK, GPU_BLOCK = 2**20, 2**27


def cross_entropy(
    logits: Float[Tensor, "items vocab"], targets: Int[Tensor, "items"], ignore: int, label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Sum of -log softmax(logits)[target] in nats over the items whose target is not `ignore`.

    label_smoothing: the share of each target that is spread evenly over the whole vocabulary.

    Computed in float32 at least. Differentiable once; for second derivatives take the reference. Raises
    ValueError unless 0 <= label_smoothing <= 1.
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {label_smoothing}")
    return _CrossEntropy.apply(logits, targets, ignore, label_smoothing)


def cross_entropy_reference(
    logits: Float[Tensor, "items vocab"], targets: Int[Tensor, "items"], ignore: int, label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """The same by torch's own function."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(exact, targets, ignore_index=ignore, reduction="sum", label_smoothing=label_smoothing)


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignore: int, label_smoothing: float) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        total = torch.zeros((), dtype=dtype, device=logits.device)
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        rows = max(1, (CPU_BLOCK if logits.device.type == "cpu" else GPU_BLOCK) // logits.shape[1])
        for start in range(0, len(logits), rows):
            block = slice(start, start + rows)
            scored = (targets[block] != ignore)[:, None]
            target = targets[block, None].where(scored, 0)
            scores = logits[block].to(dtype, copy=True)
            scores -= scores.amax(dim=1, keepdim=True)
            right = scores.gather(1, target)
            if label_smoothing:
                right = (1 - label_smoothing) * right + label_smoothing * scores.mean(dim=1, keepdim=True)
            normaliser = scores.exp_().sum(dim=1, keepdim=True)
            total += (normaliser.log() - right).where(scored, 0).sum()
            if gradient is not None:
                scores *= scored / normaliser
                scores.scatter_add_(1, target, (label_smoothing - 1) * scored.to(dtype))
                if label_smoothing:
                    scores -= (label_smoothing / logits.shape[1]) * scored.to(dtype)
                gradient[block] = scores
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * scale.to(gradient.dtype), None, None, None
