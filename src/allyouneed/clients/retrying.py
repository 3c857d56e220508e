"""Asking again: what fails for the moment is asked anew, after waits that double and are never quite the same."""

import random
import time
from collections.abc import Callable

from allyouneed.clients.client import Client, Completion, Request, Unavailable


class Retrying:
    """A client that asks `attempts` times before it gives up.

    The wait before attempt k + 1 is drawn from the upper half of `first * 2^(k - 1)` seconds, `longest` at most, so
    that those who failed together do not come back together; it is never shorter than what the server asked for. What
    no waiting would help raises at once. `within`: seconds after which no other attempt is begun.
    """

    def __init__(
        self,
        client: Client,
        attempts: int = 5,
        *,
        first: float = 0.5,
        longest: float = 30.0,
        within: float = 300.0,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {attempts}")
        self.client, self.attempts = client, attempts
        self.first, self.longest, self.within = first, longest, within
        self._sleep, self._clock, self._draw = sleep, clock, draw

    @property
    def name(self) -> str:
        """The wrapped client's."""
        return self.client.name

    def complete(self, request: Request) -> Completion:
        """The first answer. Raises Unavailable, with the number of attempts, if there was none."""
        start = self._clock()
        for attempt in range(1, self.attempts + 1):
            try:
                return self.client.complete(request)
            except Unavailable as failure:
                wait = max(self._wait(attempt), failure.wait or 0.0)
                if attempt == self.attempts or self._clock() - start + wait > self.within:
                    raise Unavailable(f"{failure} (asked {attempt} times)", failure.wait) from failure
            self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, attempt: int) -> float:
        return min(self.longest, self.first * 2 ** (attempt - 1)) * (1 + self._draw()) / 2
