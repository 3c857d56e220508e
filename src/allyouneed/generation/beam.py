"""Beam search: the likeliest continuations under a score that does not favour short ones.

Wu et al., "Google's Neural Machine Translation System", 2016, arXiv:1609.08144, section 7, as used by
Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, section 6.1 (4 beams, alpha 0.6).

    score(y) = log p(y | x) / ((5 + |y|) / 6)^alpha                 (equation 14, without the coverage term)

| here | paper |
| --- | --- |
| n_beams | beam size |
| length_penalty | alpha |
| lengths | abs(Y): the new tokens, the end token included |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from allyouneed.generation.reading import Reads, check_prompt, reading


@dataclass(frozen=True)
class Beams:
    """The continuations found for each row, best first.

    tokens: after the prompt, up to the end token; filled up with the first of the end tokens.
    scores: log probability over length penalty.
    log_probabilities: of the whole continuation, in nats.
    lengths: new tokens, the end token included.

    A place for which there was no continuation has length 0 and minus infinity as its score and log probability.
    """

    tokens: Int[Tensor, "batch beams longest"]
    scores: Float[Tensor, "batch beams"]
    log_probabilities: Float[Tensor, "batch beams"]
    lengths: Int[Tensor, "batch beams"]


def beam_search(
    model: Reads,
    prompt: Int[Tensor, "batch seq"],
    state: Any,
    *,
    end: int | Sequence[int],
    n_beams: int = 4,
    length_penalty: float = 0.6,
    max_new_tokens: int = 64,
    mask: Bool[Tensor, "batch seq"] | None = None,
) -> Beams:
    """The `n_beams` best continuations of each row's prompt that the search comes upon.

    prompt: the tokens that every continuation starts with; for a translation one start token a row.
    state: the model's, of as many rows, before the prompt. Made by a model in training mode it may hold
        dropped-out values of a source: make it in evaluation mode.
    end: the token that ends a continuation, or all of those that do.
    length_penalty: alpha of the score; 0 ranks by probability alone.
    mask: True at real tokens; prompts of different lengths are padded on the left.

    At every step the beam is made of the `n_beams` likeliest continuations by one token. Those that end
    are finished; the likeliest others go on, as many again, so that ended ones leave no gap. A row is done
    when all of its beam has ended (with one beam that is greedy decoding), or when nothing that goes on
    can still beat the worst of its `n_beams` best finished ones. Where fewer than that are finished after
    `max_new_tokens`, those still going on are returned behind them.

    An `nn.Module` is put into evaluation mode meanwhile. Raises ValueError for a bad prompt or settings out
    of range.
    """
    check_prompt(prompt, mask)
    _check_settings(n_beams, length_penalty, max_new_tokens)
    with reading(model):
        logits, state = model.step(prompt, state, mask)
        ends = _ends(end, logits)
        pad = int(ends[0])
        # Each row starts with one continuation, empty and certain, and with nothing finished.
        running, finished = _places(logits, 1, 0.0), _places(logits, n_beams, -torch.inf)
        is_open = torch.ones_like(prompt[:, :1], dtype=torch.bool)
        for length in range(1, max_new_tokens + 1):
            candidates, rows = _extend(running, logits, (1 + len(ends)) * n_beams, _penalty(length, length_penalty))
            possible, ended = candidates.scores > -torch.inf, torch.isin(candidates.tokens[:, :, -1], ends)
            goes_on = possible & ~ended
            in_beam = torch.arange(rows.shape[1], device=rows.device) < n_beams
            newly_finished = _only(possible & ended & in_beam & is_open, candidates, pad)
            finished, _ = _best(_beside(finished, newly_finished, pad), n_beams)
            running, chosen = _best(_only(goes_on, candidates, pad), n_beams)
            # Log probabilities only fall, so none can end up better than what it has now over the largest penalty.
            bound = running.log_probabilities[:, :1] / _penalty(max_new_tokens, length_penalty)
            is_open &= (goes_on & in_beam).any(1, keepdim=True) & (bound > finished.scores[:, -1:])
            if length == max_new_tokens or not is_open.any():
                break
            origins = rows.gather(1, chosen).flatten()
            if not torch.equal(origins, torch.arange(len(origins), device=origins.device)):  # a copy is not free
                state = state.select(origins)
            logits, state = model.step(running.tokens[:, :, -1].reshape(-1, 1), state)
    both = _beside(finished, running, pad)
    found = _take(both, (both.scores == -torch.inf).long().argsort(stable=True)[:, :n_beams])
    return replace(found, tokens=found.tokens[:, :, : found.lengths.max()])


def _ends(end: int | Sequence[int], logits: Float[Tensor, "batch vocab"]) -> Int[Tensor, "ends"]:
    ends, vocab = [end] if isinstance(end, int) else list(end), logits.shape[1]
    if not ends or not all(0 <= token < vocab for token in ends):
        raise ValueError(f"end must be one or more tokens of the vocabulary (0 .. {vocab - 1}), got {end}")
    return torch.tensor(ends, device=logits.device)


def _penalty(length: int, alpha: float) -> float:
    return ((5 + length) / 6) ** alpha


def _places(logits: Float[Tensor, "batch vocab"], n: int, log_probability: float) -> Beams:
    """`n` continuations a row without a token."""
    exact = torch.promote_types(logits.dtype, torch.float32)
    scores = torch.full((len(logits), n), log_probability, dtype=exact, device=logits.device)
    lengths = torch.zeros_like(scores, dtype=torch.long)
    return Beams(lengths[:, :, None][:, :, :0], scores, scores, lengths)


def _extend(
    running: Beams, logits: Float[Tensor, "rows vocab"], n: int, penalty: float
) -> tuple[Beams, Int[Tensor, "batch candidates"]]:
    """The `n` likeliest continuations of each row by one more token, or all there are; and whose row of the logits
    each goes on from."""
    batch, width = running.scores.shape
    vocab = logits.shape[1]
    step = logits.to(running.scores.dtype).log_softmax(-1).view(batch, width, vocab)
    likeliest = (running.log_probabilities[:, :, None] + step).flatten(1).topk(min(n, width * vocab))
    origins = likeliest.indices // vocab
    before = _take(running, origins)
    tokens = torch.cat((before.tokens, (likeliest.indices % vocab)[:, :, None]), dim=2)
    extended = Beams(tokens, likeliest.values / penalty, likeliest.values, before.lengths + 1)
    return extended, origins + width * torch.arange(batch, device=origins.device)[:, None]


def _take(beams: Beams, places: Int[Tensor, "batch taken"]) -> Beams:
    """Those at the given places of each row."""
    tokens = beams.tokens.gather(1, places[:, :, None].expand(-1, -1, beams.tokens.shape[2]))
    rest = (values.gather(1, places) for values in (beams.scores, beams.log_probabilities, beams.lengths))
    return Beams(tokens, *rest)


def _best(beams: Beams, n: int) -> tuple[Beams, Int[Tensor, "batch chosen"]]:
    """The `n` best of each row, or all there are, best first; and at which places they were."""
    places = beams.scores.topk(min(n, beams.scores.shape[1])).indices
    return _take(beams, places), places


def _only(kept: Bool[Tensor, "batch beams"], beams: Beams, pad: int) -> Beams:
    """The others' places are left empty."""
    return Beams(
        beams.tokens.where(kept[:, :, None], pad),
        beams.scores.where(kept, -torch.inf),
        beams.log_probabilities.where(kept, -torch.inf),
        beams.lengths.where(kept, 0),
    )


def _beside(shorter: Beams, longer: Beams, pad: int) -> Beams:
    """Both, in this order."""
    missing = longer.tokens.shape[2] - shorter.tokens.shape[2]
    tokens = torch.cat((F.pad(shorter.tokens, (0, missing), value=pad), longer.tokens), dim=1)
    names = ("scores", "log_probabilities", "lengths")
    return Beams(tokens, *(torch.cat((getattr(shorter, name), getattr(longer, name)), dim=1) for name in names))


def _check_settings(n_beams: int, length_penalty: float, max_new_tokens: int) -> None:
    if n_beams < 1 or max_new_tokens < 1:
        raise ValueError(f"n_beams and max_new_tokens must be at least 1, got {n_beams} and {max_new_tokens}")
    if not length_penalty >= 0:
        raise ValueError(f"length_penalty must be at least 0, got {length_penalty}")
