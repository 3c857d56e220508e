"""What is asked of a language model and what comes back, whoever answers."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal, Protocol, runtime_checkable

from allyouneed.errors import UserError

Message = Mapping[str, Any]  # as OpenAI writes it: {"role": "user", "content": "Hi"}
Ended = Literal["stop", "length"]


class ClientError(UserError):
    """A model could not be asked, or what it answered cannot be read; asking again would not help."""


class Unavailable(ClientError):
    """The same, but it may well be otherwise in a while. `wait`: seconds that were asked for, if any were."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Request:
    """One question to a model.

    prompt: a text to write on from, or the messages of a conversation, which the model's chat template turns into one.
    max_new_tokens: written at most.
    temperature, top_p: of the draws; 0 takes the likeliest token, top_p=None leaves none out.
    stop: texts at which the answer ends; they are not part of it.
    seed: of the draws. Several samples are several requests with other seeds, so that each is kept by itself.
    logprobs: whether the log probability of each token is wanted.

    Raises ValueError for settings out of range.
    """

    prompt: str | tuple[Message, ...]
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int = 0
    logprobs: bool = False

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("the prompt is empty")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if isinstance(self.stop, str) or "" in self.stop:
            raise ValueError(f"stop is a tuple of texts, none of them empty; got {self.stop!r}")

    @property
    def text(self) -> str:
        """All that is said in it, for whoever looks at a request as a text."""
        if isinstance(self.prompt, str):
            return self.prompt
        return "\n".join(str(message.get("content") or "") for message in self.prompt)

    @property
    def messages(self) -> list[dict[str, Any]] | None:
        """The conversation; None if it is a text to write on from."""
        return None if isinstance(self.prompt, str) else [dict(message) for message in self.prompt]

    def content(self) -> dict[str, Any]:
        """The request as JSON values, without what is left at its default, so that a new setting changes no key."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        said = {f.name for f in fields(self) if f.default is MISSING or values[f.name] != f.default}
        return json.loads(json.dumps({name: values[name] for name in said}))

    def key(self, *also: str) -> str:
        """The sha256 (hex) of the content, and of what else an answer depends on."""
        text = json.dumps([self.content(), *also], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Usage:
    """Tokens read and tokens written, the one that ended the answer included."""

    prompt_tokens: int
    completion_tokens: int

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True)
class Completion:
    """An answer.

    usage: the tokens that it took, of all models that were asked for it.
    ended: "stop" if the model or a stop text ended it, "length" if it was cut at max_new_tokens.
    model: who wrote it.
    logprobs: of each token written, in nats, where they are known.
    cost: what was paid for it, in the currency of the price list of a `Metered` client; 0 without one.
    kept: whether it was answered before and came from a cache, so that nothing is paid for it.
    """

    text: str
    usage: Usage
    ended: Ended = "stop"
    model: str = ""
    logprobs: tuple[float, ...] | None = None
    cost: Decimal = field(default=Decimal(0))
    kept: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, all but `kept`."""
        return {
            "text": self.text,
            "usage": [self.usage.prompt_tokens, self.usage.completion_tokens],
            "ended": self.ended,
            "model": self.model,
            "logprobs": None if self.logprobs is None else list(self.logprobs),
            "cost": str(self.cost),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Completion":
        """The completion that `to_dict` described. Raises KeyError, TypeError or ValueError for anything else."""
        logprobs = values["logprobs"]
        return cls(
            text=str(values["text"]),
            usage=Usage(*map(int, values["usage"])),
            ended="length" if values["ended"] == "length" else "stop",
            model=str(values["model"]),
            logprobs=None if logprobs is None else tuple(map(float, logprobs)),
            cost=Decimal(values["cost"]),
        )


@runtime_checkable
class Client(Protocol):
    """Whoever completes requests. Clients may be asked from several threads at once."""

    @property
    def name(self) -> str:
        """Which model answers, in words that differ where the answers would; never a secret."""
        ...

    def complete(self, request: Request) -> Completion:
        """The answer. Raises Unavailable if it may be had later, ClientError if not."""
        ...


@runtime_checkable
class Batches(Protocol):
    """A client that answers many requests in less time than one by one."""

    def complete_batch(self, requests: Sequence[Request]) -> list[Completion]:
        """The answers, in the order of the requests."""
        ...


def complete_all(client: Client, requests: Iterable[Request], *, at_once: int = 8) -> list[Completion]:
    """The answers to all requests, in their order; no more than `at_once` are under way at any time.

    The first failure is raised when those under way have ended, and nothing more is asked; with a `Cached` client
    what was answered is not lost. Raises ValueError for less than one at once.
    """
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1, got {at_once}")
    asked = list(requests)
    if isinstance(client, Batches):
        return client.complete_batch(asked)
    with ThreadPoolExecutor(at_once) as pool:
        answers = [pool.submit(client.complete, request) for request in asked]
        try:
            return [answer.result() for answer in answers]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
