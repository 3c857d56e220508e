"""How likely a model finds given texts: what multiple choice, perplexity and rescoring are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from allyouneed.generation.reading import (
    Begins,
    ReadsAtOnce,
    Writes,
    check_rows,
    device_of,
    head,
    read_at_once,
    reading,
    right_pad,
)

POSITIONS = 256  # whose logits are held at a time: 150 MB in float32 with a vocabulary of 150,000


@dataclass(frozen=True)
class Likelihood:
    """Of one continuation.

    log_probabilities: of each token given all before it, in nats.
    greedy: whether always taking the likeliest token would write exactly this.
    """

    log_probabilities: list[float]
    greedy: bool

    @property
    def total(self) -> float:
        """The log probability of the whole, in nats."""
        return sum(self.log_probabilities)


def score(
    model: Writes, contexts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]], *, batch_size: int = 16
) -> list[Likelihood]:
    """How likely each continuation is after its context, in their order; what is scored together makes no difference.

    contexts: the tokens before each continuation, one at least; for a model that has `begin` its sources, and the
        continuation follows what it begins with.

    Rows of about one length are scored together. Logits are made only where a token of a continuation is predicted,
    in float32 at least. An `nn.Module` is put into evaluation mode meanwhile. Raises ValueError if there are not as
    many contexts as continuations, or one is empty.
    """
    if len(contexts) != len(continuations):
        raise ValueError(f"each continuation needs one context; got {len(continuations)} and {len(contexts)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not contexts:
        return []
    check_rows(contexts, "contexts")
    check_rows(continuations, "continuations")
    by_length = sorted(range(len(contexts)), key=lambda row: len(contexts[row]) + len(continuations[row]))
    found: dict[int, Likelihood] = {}
    with reading(model):
        for start in range(0, len(by_length), batch_size):
            rows = by_length[start : start + batch_size]
            batch = _score_batch(model, [contexts[row] for row in rows], [continuations[row] for row in rows])
            found.update(zip(rows, batch))
    return [found[row] for row in range(len(contexts))]


def _score_batch(model: Writes, contexts: list[Sequence[int]], continuations: list[Sequence[int]]) -> list[Likelihood]:
    device = device_of(model)
    prompts, state = contexts, None
    if isinstance(model, Begins):
        prompt, state = model.begin(*right_pad(contexts, device=device))
        prompts = prompt.tolist()
    elif not isinstance(model, ReadsAtOnce):
        state = model.new_state(len(contexts))
    # The last token predicts nothing here. Padding on the right needs no mask: what is real never sees it.
    tokens, _ = right_pad([[*before, *after[:-1]] for before, after in zip(prompts, continuations)], device=device)
    hidden, _ = read_at_once(model, tokens, state)
    lengths = [len(continuation) for continuation in continuations]
    rows = [row for row, length in enumerate(lengths) for _ in range(length)]
    places = [len(prompt) - 1 + i for prompt, length in zip(prompts, lengths) for i in range(length)]
    targets = torch.tensor([token for continuation in continuations for token in continuation], device=device)
    log_probabilities, likeliest = _predicted(model, hidden[rows, places], targets)
    return [
        Likelihood(values.tolist(), bool(right.all()))
        for values, right in zip(log_probabilities.split(lengths), likeliest.split(lengths))
    ]


def _predicted(
    model: Writes, hidden: Float[Tensor, "items width"], targets: Int[Tensor, "items"]
) -> tuple[Float[Tensor, "items"], Bool[Tensor, "items"]]:
    """The targets' log probabilities, and whether each is the likeliest token."""
    log_probabilities, likeliest = [], []
    for some, target in zip(hidden.split(POSITIONS), targets.split(POSITIONS)):
        logits = head(model, some)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        log_probabilities.append(logits.gather(1, target[:, None])[:, 0] - logits.logsumexp(1))
        likeliest.append(logits.argmax(1) == target)
    return torch.cat(log_probabilities), torch.cat(likeliest)
