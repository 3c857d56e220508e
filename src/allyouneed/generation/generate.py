"""Writing on from a prompt, one token at a time, with any model that reads on from a state."""

from contextlib import nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.generation.sampling import check_sampling, sample
from allyouneed.models.modes import evaluation_mode


@runtime_checkable
class Steps(Protocol):
    """What `generate` asks of a model."""

    def new_state(self, batch_size: int) -> Any:
        """The state before the first token."""
        ...

    def step(
        self, tokens: Int[Tensor, "batch seq"], state: Any, mask: Bool[Tensor, "batch seq"] | None = None
    ) -> tuple[Float[Tensor, "batch vocab"], Any]:
        """Logits for the token that follows the last, and the state behind it."""
        ...


def generate(
    model: Steps,
    tokens: Int[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"] | None = None,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop_token: int | None = None,
) -> Int[Tensor, "batch longer"]:
    """The prompts and up to `max_new_tokens` more tokens a row.

    mask: True at real tokens; prompts of different lengths are padded on the left.
    temperature: 0 takes the likeliest token; top_k, top_p: as in `sample`.
    seed: of the draws; PyTorch's global generator is left alone.
    stop_token: a row that has written it is filled up with it, and writing ends when all have.

    An `nn.Module` is put into evaluation mode meanwhile. Raises ValueError for an empty prompt, padding on
    the right or settings out of range.
    """
    _check_prompt(tokens, mask, max_new_tokens)
    check_sampling(temperature, top_k, top_p)
    if max_new_tokens == 0:
        return tokens
    generator = torch.Generator(tokens.device).manual_seed(seed)
    with evaluation_mode(model) if isinstance(model, nn.Module) else nullcontext(), torch.inference_mode():
        state = model.new_state(len(tokens))
        logits, state = model.step(tokens, state, mask)
        written: list[Tensor] = []
        stopped = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        while True:
            token = sample(logits, temperature, top_k, top_p, generator)
            if stop_token is not None:
                token = token.masked_fill(stopped, stop_token)
                stopped |= token == stop_token
            written.append(token)
            if len(written) == max_new_tokens or (stop_token is not None and bool(stopped.all())):
                break
            logits, state = model.step(token[:, None], state)
    return torch.cat((tokens, torch.stack(written, dim=1)), dim=1)


def _check_prompt(
    tokens: Int[Tensor, "batch seq"], mask: Bool[Tensor, "batch seq"] | None, max_new_tokens: int
) -> None:
    if tokens.shape[1] == 0:
        raise ValueError("the prompt is empty: give at least one token a row")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be at least 0, got {max_new_tokens}")
    if mask is not None:
        padded = (~mask[:, -1]).nonzero().flatten().tolist()
        if padded:
            raise ValueError(f"prompts must be padded on the left; rows {padded} end with padding")
