"""Writing on from a prompt, one token at a time, with any model that reads on from a state."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from allyouneed.generation.reading import Reads, check_prompt, reading
from allyouneed.generation.sampling import check_sampling, sample


@runtime_checkable
class Steps(Reads, Protocol):
    """What `generate` asks of a model."""

    def new_state(self, batch_size: int) -> Any:
        """The state before the first token."""
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
    check_prompt(tokens, mask)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be at least 0, got {max_new_tokens}")
    check_sampling(temperature, top_k, top_p)
    if max_new_tokens == 0:
        return tokens
    generator = torch.Generator(tokens.device).manual_seed(seed)
    with reading(model):
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
