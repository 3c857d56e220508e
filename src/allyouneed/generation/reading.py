"""What every way of writing on from a prompt asks of the model and of the prompt."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.models.modes import evaluation_mode


@runtime_checkable
class Reads(Protocol):
    """A model that reads on from a state."""

    def step(
        self, tokens: Int[Tensor, "batch seq"], state: Any, mask: Bool[Tensor, "batch seq"] | None = None
    ) -> tuple[Float[Tensor, "batch vocab"], Any]:
        """Logits for the token that follows the last, and the state behind it."""
        ...


@contextmanager
def reading(model: Reads) -> Iterator[None]:
    """Within the block nothing is recorded for gradients, and an `nn.Module` is in evaluation mode."""
    with evaluation_mode(model) if isinstance(model, nn.Module) else nullcontext(), torch.inference_mode():
        yield


def check_prompt(tokens: Int[Tensor, "batch seq"], mask: Bool[Tensor, "batch seq"] | None) -> None:
    """Raises ValueError for an empty prompt or padding on the right."""
    if tokens.shape[1] == 0:
        raise ValueError("the prompt is empty: give at least one token a row")
    if mask is not None:
        padded = (~mask[:, -1]).nonzero().flatten().tolist()
        if padded:
            raise ValueError(f"prompts must be padded on the left; rows {padded} end with padding")
