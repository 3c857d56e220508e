"""Writing on from a prompt, one token at a time, with any model that reads on from a state."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.generation.draws import Draws
from allyouneed.generation.reading import Writes, begin, reading
from allyouneed.generation.sampling import Sampling, sample, seen_tokens
from allyouneed.generation.stop import Stop
from allyouneed.tokenizers import Tokenizer


@dataclass(frozen=True)
class Written:
    """One more token of every row.

    log_probabilities: of the tokens, in nats, under the model itself: before penalty, temperature and filters. 0 for
        what fills up a row that had ended.
    open: which rows go on after it.
    """

    tokens: Int[Tensor, "batch"]
    log_probabilities: Float[Tensor, "batch"]
    open: Bool[Tensor, "batch"]


def generate(
    model: Writes,
    tokens: Int[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"] | None = None,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    stop_tokens: Sequence[int] = (),
    stop_strings: Sequence[str] = (),
    tokenizer: Tokenizer | None = None,
    pad_token: int | None = None,
    seed: int | Sequence[int] = 0,
) -> Int[Tensor, "batch longer"]:
    """The prompts and up to `max_new_tokens` more tokens a row.

    tokens: prompts; those of different lengths are padded on the left (`left_pad`). For a model that has `begin`
        they are its sources, and what comes back is the prompt it begins with and what it wrote.
    mask: True at real tokens.
    temperature, top_k, top_p, min_p, repetition_penalty: as in `Sampling`.
    stop_tokens, stop_strings, tokenizer, pad_token: as in `Stop`; writing ends when all rows have.
    seed: of the draws, as in `stream`.

    An `nn.Module` is put into evaluation mode meanwhile. Raises ValueError for an empty prompt, padding on
    the right or settings out of range.
    """
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    stop = Stop(stop_tokens, stop_strings, tokenizer, pad_token)
    check_max_new_tokens(max_new_tokens)
    with reading(model):
        prompt, prompt_mask, state = begin(model, tokens, mask)
        draws = Draws(seed, len(prompt), prompt.device)
        steps = _write(model, prompt, prompt_mask, state, max_new_tokens, sampling, stop, draws)
        written = [step.tokens[:, None] for step in steps]
    return torch.cat((prompt, *written), dim=1)  # outside, so that what was written can be trained on


def stream(
    model: Writes,
    tokens: Int[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"] | None = None,
    *,
    max_new_tokens: int = 64,
    sampling: Sampling = Sampling(),
    stop: Stop = Stop(),
    seed: int | Sequence[int] = 0,
) -> Iterator[Written]:
    """The new tokens of `generate`, each as soon as it is there.

    tokens, mask: as in `generate`.
    seed: one for all rows, or one a row. Each row draws from a generator of its own: it goes on as it would alone,
        with the seed that `row_seeds` gives it. PyTorch's global generator is left alone.

    While a token is made an `nn.Module` is in evaluation mode, and between two it is in the mode that it was in. Raises
    ValueError as `generate` does, at the call and not at the first token.
    """
    check_max_new_tokens(max_new_tokens)
    with reading(model):
        prompt, prompt_mask, state = begin(model, tokens, mask)
        draws = Draws(seed, len(prompt), prompt.device)
        steps = _write(model, prompt, prompt_mask, state, max_new_tokens, sampling, stop, draws)
    return _one_by_one(model, steps)


def _one_by_one(model: Writes, steps: Iterator[Written]) -> Iterator[Written]:
    """Neither modes nor PyTorch's inference may reach the code between two tokens."""
    while True:
        with reading(model):
            step = next(steps, None)
        if step is None:
            return
        yield Written(step.tokens.clone(), step.log_probabilities.clone(), step.open.clone())


def _write(
    model: Writes,
    prompt: Int[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"] | None,
    state: Any,
    max_new_tokens: int,
    sampling: Sampling,
    stop: Stop,
    draws: Draws,
) -> Iterator[Written]:
    written: list[list[int]] = [[] for _ in prompt]
    is_open = [True] * len(prompt)
    tokens, seen = prompt, None
    for n_written in range(max_new_tokens):
        logits, state = model.step(tokens, state, mask if n_written == 0 else None)
        if n_written == 0:
            stop.check(logits.shape[1])
            if sampling.repetition_penalty is not None:
                seen = seen_tokens(prompt, mask, logits.shape[1])
        if logits.isnan().any():
            dtype = str(logits.dtype).removeprefix("torch.")
            raise UserError(f"the model's numbers overflow in {dtype}: load it with another dtype, such as bfloat16")
        token = sample(logits, sampling, draws.next(1)[:, 0], seen)
        log_probability = _log_probability(logits, token)
        if not all(is_open):
            filled = [stop.fill(row) for row in written]
            still = torch.tensor(is_open, device=token.device)
            token = token.where(still, torch.tensor(filled, device=token.device))
            log_probability = log_probability.where(still, 0)
        for row, new in enumerate(token.tolist()):
            if is_open[row]:
                written[row].append(new)
                is_open[row] = not stop.ends(written[row])
        yield Written(token, log_probability, torch.tensor(is_open, device=token.device))
        if not any(is_open):
            return
        tokens = token[:, None]
        seen = None if seen is None else seen.scatter(1, tokens, True)


def _log_probability(logits: Float[Tensor, "batch vocab"], token: Int[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return exact.gather(1, token[:, None])[:, 0] - exact.logsumexp(1)


def check_max_new_tokens(max_new_tokens: int) -> None:
    """Raises ValueError for less than none."""
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be at least 0, got {max_new_tokens}")
