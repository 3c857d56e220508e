"""Models behind an HTTP endpoint that speaks OpenAI's protocol (extra "openai")."""

import os
from typing import Any

from allyouneed.clients.client import ClientError, Completion, Ended, Request, Unavailable, Usage
from allyouneed.errors import require

OPENAI = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
_PASSING = (408, 409, 425, 429)  # statuses that another moment may change; so may all from 500 on


class Endpoint:
    """A model by its name on a server. A text is sent to /completions, a conversation to /chat/completions.

    url: the server's, up to and including /v1.
    key_variable: of the environment, where the key is read when a request is sent; it is kept nowhere and taken out of
        every message. A server that is not OpenAI's is asked without one if there is none.
    timeout: seconds for a whole answer.

    It asks once: wrap it in `Retrying`. Raises MissingExtra without openai.
    """

    def __init__(self, model: str, url: str = OPENAI, *, key_variable: str = KEY, timeout: float = 60.0) -> None:
        self.model, self.url, self.key_variable, self.timeout = model, url.rstrip("/"), key_variable, timeout
        self._openai = require("openai", "openai")

    @property
    def name(self) -> str:
        """`openai:MODEL@URL`."""
        return f"openai:{self.model}@{self.url}"

    def complete(self, request: Request) -> Completion:
        """The server's answer. Raises Unavailable for timeouts, lost connections, 429, 5xx and answers that are cut
        or garbled; ClientError for what asking again would not change."""
        key = os.environ.get(self.key_variable) or ("" if self.url == OPENAI else "none")
        if not key:
            raise ClientError(f"{self.name} needs a key: set {self.key_variable} in the environment")
        try:
            with self._openai.OpenAI(api_key=key, base_url=self.url, timeout=self.timeout, max_retries=0) as server:
                answer = self._ask(server, request)
            return _completion(answer, request, self.name)
        except (self._openai.OpenAIError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._failure(error, key) from None  # whose cause may hold the request's headers

    def _ask(self, server: Any, request: Request) -> Any:
        settings: dict[str, Any] = {"model": self.model, "temperature": request.temperature, "seed": request.seed}
        if request.top_p is not None:
            settings["top_p"] = request.top_p
        if request.stop:
            settings["stop"] = list(request.stop)
        if request.messages is None:
            logprobs = {"logprobs": 1} if request.logprobs else {}
            return server.completions.create(
                prompt=request.prompt, max_tokens=request.max_new_tokens, **settings, **logprobs
            )
        # OpenAI's newest models take only the new name, other servers often only the old one.
        limit = "max_completion_tokens" if self.url == OPENAI else "max_tokens"
        logprobs = {"logprobs": True} if request.logprobs else {}
        return server.chat.completions.create(
            messages=request.messages, **settings, **logprobs, **{limit: request.max_new_tokens}
        )

    def _failure(self, error: Exception, key: str) -> ClientError:
        said = f"{type(error).__name__}: {error}".replace(key, "***") if key != "none" else str(error)
        reason = f"{self.name}: {said}"
        if isinstance(error, self._openai.APITimeoutError):
            return Unavailable(f"{self.name}: no answer within {self.timeout:g} s")
        if isinstance(error, self._openai.APIStatusError):
            passing = error.status_code in _PASSING or error.status_code >= 500
            if passing and getattr(error, "code", None) != "insufficient_quota":
                return Unavailable(reason, _seconds(error.response.headers.get("retry-after")))
            return ClientError(reason)
        if isinstance(error, self._openai.APIConnectionError):
            return Unavailable(f"{self.name}: no connection ({error.__cause__ or error})")
        return Unavailable(f"{self.name}: its answer cannot be read ({said})")


def _completion(answer: Any, request: Request, name: str) -> Completion:
    """What the openai package made of an answer, checked: it takes any JSON for one."""
    choice, usage = answer.choices[0], answer.usage
    counted = Usage(int(usage.prompt_tokens), int(usage.completion_tokens))
    text = choice.text if request.messages is None else choice.message.content
    if text is not None and not isinstance(text, str):
        raise TypeError(f"its text is {text!r:.100}")
    ended: Ended = "length" if choice.finish_reason == "length" else "stop"
    return Completion(text or "", counted, ended, model=name, logprobs=_logprobs(choice, request))


def _logprobs(choice: Any, request: Request) -> tuple[float, ...] | None:
    if not request.logprobs or choice.logprobs is None:
        return None
    if request.messages is None:
        return tuple(map(float, choice.logprobs.token_logprobs))
    return tuple(float(token.logprob) for token in choice.logprobs.content or ())


def _seconds(header: str | None) -> float | None:
    """What a server asks to wait; None where it does not say, or names a date."""
    try:
        return max(0.0, float(header)) if header is not None else None
    except ValueError:
        return None
