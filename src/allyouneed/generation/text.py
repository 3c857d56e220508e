"""Texts that a model writes and judges: piece by piece as they come, several at once, or given ones."""

from collections.abc import Iterable, Iterator, Sequence

import torch

from allyouneed.errors import UserError
from allyouneed.generation.beam import beam_search
from allyouneed.generation.generate import generate, stream
from allyouneed.generation.likelihood import Likelihood, score
from allyouneed.generation.reading import Begins, Writes, begin, device_of, left_pad, reading, room
from allyouneed.generation.sampling import Sampling
from allyouneed.generation.speculative import speculative
from allyouneed.generation.stop import Stop
from allyouneed.tokenizers import CheckpointTokenizer, Incremental, Tokenizer
from allyouneed.tokenizers.answers import shared_start


def stream_text(
    model: Writes,
    prompt: Sequence[int],
    tokenizer: Tokenizer,
    *,
    max_new_tokens: int = 64,
    sampling: Sampling = Sampling(),
    stop_tokens: Sequence[int] = (),
    stop_strings: Sequence[str] = (),
    seed: int = 0,
) -> Iterator[str]:
    """What the model writes after the tokens `prompt` (or about them, if it has a source), in pieces that join to the
    whole text.

    A piece is held back while it may yet turn out to be a character cut in two or the beginning of a stop string. What
    stops the writing, token or string, is not part of the text. It ends, too, where the model has no further position.

    Raises ValueError as `stream` does, at the call.
    """
    stop = Stop(tuple(stop_tokens), tuple(stop_strings), tokenizer)
    tokens = torch.tensor([list(prompt)], dtype=torch.long, device=device_of(model))
    max_new_tokens = _no_more_than_fit(model, [prompt], max_new_tokens)
    steps = stream(model, tokens, max_new_tokens=max_new_tokens, sampling=sampling, stop=stop, seed=seed)
    written = (int(step.tokens[0]) for step in steps)
    return pieces(decoded(written, tokenizer, _before(model, prompt), stop.tokens), stop.strings)


def write_texts(
    model: Writes,
    prompts: Sequence[Sequence[int]],
    tokenizer: Tokenizer,
    *,
    max_new_tokens: int = 64,
    sampling: Sampling = Sampling(),
    stop_tokens: Sequence[int] = (),
    stop_strings: Sequence[str] = (),
    seed: int = 0,
    n_beams: int = 1,
    draft: Writes | None = None,
) -> list[str]:
    """What the model writes after each prompt, all at once; as `stream_text`, and

    n_beams: more than one searches for the likeliest text in place of drawing one.
    draft: a model of the same vocabulary that guesses ahead, which changes the time it takes and nothing else.

    Raises ValueError for settings or prompts that do not do.
    """
    tokens, mask = left_pad(prompts, device=device_of(model))
    max_new_tokens = _no_more_than_fit(model, prompts, max_new_tokens)
    stop = Stop(tuple(stop_tokens), tuple(stop_strings), tokenizer)
    if n_beams > 1:
        rows = _search(model, tokens, mask, stop, n_beams, max_new_tokens)
    elif draft is not None:
        found = speculative(
            model, draft, tokens, mask, max_new_tokens=max_new_tokens, sampling=sampling, stop=stop, seed=seed
        ).tokens
        rows = _new(model, tokens, found)
    else:
        found = generate(
            model,
            tokens,
            mask,
            max_new_tokens=max_new_tokens,
            stop_tokens=stop.tokens,
            stop_strings=stop.strings,
            tokenizer=tokenizer,
            seed=seed,
            **vars(sampling),
        )
        rows = _new(model, tokens, found)
    befores = [_before(model, prompt) for prompt in prompts]
    return [
        "".join(pieces(decoded(row, tokenizer, before, stop.tokens), stop.strings))
        for row, before in zip(rows, befores)
    ]


def score_texts(
    model: Writes, tokenizer: CheckpointTokenizer, context: str, continuations: Sequence[str]
) -> list[Likelihood]:
    """How likely each continuation is after the context, or about it, if the model has a source.

    A continuation is cut into tokens together with its context, as a text would be. Where a token lies across the
    border, it counts to the continuation. Raises ValueError for a text without a token.
    """
    before = tokenizer.encode(context, special=True)
    if isinstance(model, Begins):
        return score(model, [before] * len(continuations), [tokenizer.encode(text) for text in continuations])
    wholes = [tokenizer.encode(context + text, special=True) for text in continuations]
    borders = [shared_start(before, whole) for whole in wholes]
    contexts = [whole[:border] for whole, border in zip(wholes, borders)]
    return score(model, contexts, [whole[border:] for whole, border in zip(wholes, borders)])


def _before(model: Writes, prompt: Sequence[int]) -> Sequence[int]:
    """What the text that is written follows on; a source is not part of it."""
    return () if isinstance(model, Begins) else prompt


def _new(model: Writes, prompts: torch.Tensor, found: torch.Tensor) -> list[list[int]]:
    """The tokens behind the prompts, or behind what a model with a source begins with."""
    return found[:, 1 if isinstance(model, Begins) else prompts.shape[1] :].tolist()


def _no_more_than_fit(model: Writes, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> int:
    """Raises ValueError if a prompt leaves no position to write at."""
    fit = room(model, prompts)
    if fit == 0 and max_new_tokens > 0:
        raise ValueError(f"a prompt of {max(map(len, prompts))} tokens is longer than the positions that the model has")
    return max_new_tokens if fit is None else min(max_new_tokens, fit)


def _search(
    model: Writes, tokens: torch.Tensor, mask: torch.Tensor, stop: Stop, n_beams: int, max_new_tokens: int
) -> list[list[int]]:
    if not stop.tokens:
        raise UserError("a beam search needs to know at which token a text ends, and the checkpoint does not say")
    with reading(model):
        prompt, prompt_mask, state = begin(model, tokens, mask)
        found = beam_search(
            model, prompt, state, end=stop.tokens, n_beams=n_beams, max_new_tokens=max_new_tokens, mask=prompt_mask
        )
    return found.tokens[:, 0].tolist()


def decoded(
    tokens: Iterable[int], tokenizer: Tokenizer, before: Sequence[int], stop_tokens: Sequence[int]
) -> Iterator[str]:
    """The text that each token adds for certain, without the one that stops; `before` is what they follow on."""
    if isinstance(tokenizer, CheckpointTokenizer):
        incremental = tokenizer.incremental()
    else:
        incremental = Incremental(tokenizer.decode)
    for token in before:
        incremental.push(token)
    if before:
        incremental.finish()
    for token in tokens:
        if token in stop_tokens:
            break
        yield incremental.push(token)
    yield incremental.finish()


def pieces(parts: Iterable[str], stop_strings: Sequence[str] = ()) -> Iterator[str]:
    """The parts of a text as they come, but never a part of a stop string: the text ends where the first begins."""
    shown, text = 0, ""
    for part in parts:
        text += part
        stops = [place for place in map(text.find, stop_strings) if place >= 0]
        certain = min(stops) if stops else len(text) - _beginning(text, stop_strings)
        if certain > shown:
            yield text[shown:certain]
            shown = certain
        if stops:
            return
    if len(text) > shown:
        yield text[shown:]


def _beginning(text: str, stop_strings: Sequence[str]) -> int:
    """How many characters at the end may be the beginning of a stop string."""
    starts = (string[:n] for string in stop_strings for n in range(1, len(string)))
    return max((len(start) for start in starts if text.endswith(start)), default=0)
