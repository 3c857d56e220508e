"""What every way of writing on from a prompt asks of the model and of the prompt."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.models.encoder_decoder import EncoderDecoder
from allyouneed.models.modes import evaluation_mode


@runtime_checkable
class Reads(Protocol):
    """A model that reads on from a state."""

    def step(
        self, tokens: Int[Tensor, "batch seq"], state: Any, mask: Bool[Tensor, "batch seq"] | None = None
    ) -> tuple[Float[Tensor, "batch vocab"], Any]:
        """Logits for the token that follows the last, and the state behind it."""
        ...


@runtime_checkable
class Steps(Reads, Protocol):
    """A model that writes on from a prompt."""

    def new_state(self, batch_size: int) -> Any:
        """The state before the first token."""
        ...


@runtime_checkable
class Begins(Reads, Protocol):
    """A model that writes about a source, as an encoder-decoder does."""

    def begin(
        self, tokens: Int[Tensor, "batch source"], mask: Bool[Tensor, "batch source"] | None = None
    ) -> tuple[Int[Tensor, "batch seq"], Any]:
        """The tokens that what it writes starts with, and the state before them, in which the source has been read."""
        ...


@runtime_checkable
class ReadsAtOnce(Protocol):
    """A model that says what it expects at every position in one pass, on from a state."""

    def hidden(
        self, inputs: Int[Tensor, "batch seq"], mask: Bool[Tensor, "batch seq"] | None = None, *, state: Any = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """What enters the head; the state is moved behind the tokens."""
        ...

    def head(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """Logits over the vocabulary."""
        ...


Writes = Steps | Begins


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


def begin(
    model: Writes, tokens: Int[Tensor, "batch seq"], mask: Bool[Tensor, "batch seq"] | None = None
) -> tuple[Int[Tensor, "batch prompt"], Bool[Tensor, "batch prompt"] | None, Any]:
    """The prompts to write on from, their mask, and the state before them.

    For a model that has a source they are what it begins with, and `tokens` and `mask` are the source; for others
    they are `tokens` and `mask`. Raises ValueError for a bad prompt.
    """
    if isinstance(model, Begins):
        prompt, state = model.begin(tokens, mask)
        return prompt, None, state
    check_prompt(tokens, mask)
    return tokens, mask, model.new_state(len(tokens))


def read_at_once(
    model: Reads, tokens: Int[Tensor, "batch seq"], state: Any, mask: Bool[Tensor, "batch seq"] | None = None
) -> tuple[Float[Tensor, "batch seq width"], Any]:
    """What `head(model, ...)` makes logits of, at every position, and the state behind the tokens.

    One pass, or as many steps as there are tokens where a model can only step. A model that can read at once may
    have None as its state where nothing came before.
    """
    stack = _stack(model)
    if isinstance(stack, ReadsAtOnce):
        return stack.hidden(tokens, mask, state=state), state
    steps = []
    for place in range(tokens.shape[1]):
        here = slice(place, place + 1)
        logits, state = model.step(tokens[:, here], state, None if mask is None else mask[:, here])
        steps.append(logits)
    return torch.stack(steps, dim=1), state


def head(model: Reads, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch vocab"]:
    """Logits from what `read_at_once` gave."""
    stack = _stack(model)
    return stack.head(hidden) if isinstance(stack, ReadsAtOnce) else hidden


def _stack(model: Reads) -> Any:
    """What reads on: of an encoder-decoder the decoder, for its own `hidden` reads the source anew."""
    return model.decoder if isinstance(model, EncoderDecoder) else model


def left_pad(
    rows: Sequence[Sequence[int]], pad: int = 0, device: torch.device | str | None = None
) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
    """Prompts of different lengths as one batch, and its mask: True at real tokens.

    Raises ValueError if there is no row, or one without a token.
    """
    return _pad(rows, pad, device, "left")


def right_pad(
    rows: Sequence[Sequence[int]], pad: int = 0, device: torch.device | str | None = None
) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
    """The same with the padding behind: for what is only read, such as sources."""
    return _pad(rows, pad, device, "right")


def _pad(
    rows: Sequence[Sequence[int]], pad: int, device: torch.device | str | None, side: str
) -> tuple[Tensor, Tensor]:
    check_rows(rows, "rows")
    longest = max(map(len, rows))

    def padded(row: Sequence[Any], filling: Any) -> list[Any]:
        missing = [filling] * (longest - len(row))
        return [*missing, *row] if side == "left" else [*row, *missing]

    tokens = torch.tensor([padded(row, pad) for row in rows], device=device)
    return tokens, torch.tensor([padded([True] * len(row), False) for row in rows], device=device)


def check_rows(rows: Sequence[Sequence[int]], name: str) -> None:
    """Raises ValueError if there is no row, or one without a token; `name` says of what."""
    if not rows:
        raise ValueError(f"{name}: give at least one row, got none")
    empty = [place for place, row in enumerate(rows) if not row]
    if empty:
        raise ValueError(f"{name}: give at least one token a row; rows {empty} have none")


def room(model: Writes, prompts: Sequence[Sequence[int]]) -> int | None:
    """How many tokens the model has positions for behind the longest of these prompts; None if they do not end."""
    longest = getattr(getattr(_stack(model), "positions", None), "longest", None)
    if longest is None:
        return None
    read = 1 if isinstance(model, Begins) else max(map(len, prompts))
    return max(longest - read + 1, 0)  # the last token written is not read


def device_of(model: Reads) -> torch.device:
    """Where the model's weights are; the CPU for a model without any."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if weight is None else weight.device
