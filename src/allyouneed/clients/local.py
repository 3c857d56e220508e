"""Models of this library as clients."""

import threading
from collections.abc import Sequence
from pathlib import Path

from allyouneed.clients.client import ClientError, Completion, Request, Usage
from allyouneed.errors import UserError
from allyouneed.generation.generate import stream
from allyouneed.generation.reading import Begins, Writes, device_of, left_pad
from allyouneed.generation.sampling import Sampling
from allyouneed.generation.stop import Stop
from allyouneed.generation.text import decoded, pieces
from allyouneed.models import hub
from allyouneed.tokenizers import CheckpointTokenizer, Tokenizer

Settings = tuple[int, float, float | None, tuple[str, ...]]


class Local:
    """A model with its tokenizer; many requests with the same settings are written at once.

    stop_tokens: those that end an answer; of a checkpoint's tokenizer its own.
    batch_size: requests written at a time; an answer does not depend on what is written beside it, except by
        rounding.

    Conversations need a checkpoint's tokenizer with a chat template. One thread writes at a time.
    """

    def __init__(
        self,
        model: Writes,
        tokenizer: Tokenizer,
        *,
        name: str = "local",
        stop_tokens: Sequence[int] = (),
        batch_size: int = 32,
    ) -> None:
        self.model, self.tokenizer, self.name, self.batch_size = model, tokenizer, name, batch_size
        ends = tokenizer.eos_ids if isinstance(tokenizer, CheckpointTokenizer) else ()
        self.stop_tokens = tuple(stop_tokens) or ends
        self._lock = threading.Lock()

    @classmethod
    def open(cls, source: str | Path, dtype: str | None = None, device: str = "auto") -> "Local":
        """The checkpoint in a folder or on the hub. Raises UserError as `load` does."""
        return cls(hub.writer(source, dtype, device), hub.tokenizer(source), name=f"local:{source}")

    def complete(self, request: Request) -> Completion:
        """The model's answer. Raises ClientError for what it cannot read, such as a prompt that is too long."""
        return self.complete_batch([request])[0]

    def complete_batch(self, requests: Sequence[Request]) -> list[Completion]:
        """The answers, in the order of the requests."""
        groups: dict[Settings, list[int]] = {}
        for place, request in enumerate(requests):
            settings = (request.max_new_tokens, request.temperature, request.top_p, request.stop)
            groups.setdefault(settings, []).append(place)
        found: dict[int, Completion] = {}
        for settings, places in groups.items():
            for first in range(0, len(places), self.batch_size):
                part = places[first : first + self.batch_size]
                found.update(zip(part, self._write([requests[place] for place in part], settings)))
        return [found[place] for place in range(len(requests))]

    def _write(self, requests: list[Request], settings: Settings) -> list[Completion]:
        max_new_tokens, temperature, top_p, strings = settings
        try:
            prompts = [self._tokens(request) for request in requests]
            tokens, mask = left_pad(prompts, device=device_of(self.model))
            stop = Stop(self.stop_tokens, strings, self.tokenizer)
            with self._lock:
                steps = list(
                    stream(
                        self.model,
                        tokens,
                        mask,
                        max_new_tokens=max_new_tokens,
                        sampling=Sampling(temperature, top_p=top_p),
                        stop=stop,
                        seed=[request.seed for request in requests],
                    )
                )
        except (ValueError, UserError) as error:
            raise ClientError(f"{self.name}: {error}") from error
        written = zip(*(step.tokens.tolist() for step in steps))
        logprobs = zip(*(step.log_probabilities.tolist() for step in steps))
        goes_on = zip(*(step.open.tolist() for step in steps))
        rows = zip(requests, prompts, written, logprobs, goes_on)
        return [self._completion(*row) for row in rows]

    def _tokens(self, request: Request) -> list[int]:
        tokenizer, messages = self.tokenizer, request.messages
        if isinstance(tokenizer, CheckpointTokenizer):
            if messages is None:
                return tokenizer.encode(request.text, special=True)
            return tokenizer.encode(tokenizer.chat(messages))
        if messages is not None:
            raise ClientError("its tokenizer has no chat template: give the prompt as a text")
        return tokenizer.encode(request.text)

    def _completion(
        self,
        request: Request,
        prompt: list[int],
        written: tuple[int, ...],
        logprobs: tuple[float, ...],
        goes_on: tuple[bool, ...],
    ) -> Completion:
        """What one row wrote, up to where it ended; the others may have gone on."""
        n = goes_on.index(False) + 1 if False in goes_on else len(written)
        before = () if isinstance(self.model, Begins) else prompt
        text = "".join(pieces(decoded(written[:n], self.tokenizer, before, self.stop_tokens), request.stop))
        return Completion(
            text,
            Usage(len(prompt), n),
            "stop" if False in goes_on else "length",
            model=self.name,
            logprobs=logprobs[:n] if request.logprobs else None,
        )
