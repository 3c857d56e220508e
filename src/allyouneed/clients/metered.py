"""What answers cost, counted to the token."""

import threading
from dataclasses import dataclass, replace
from decimal import Decimal

from allyouneed.clients.client import Client, Completion, Request, Usage


@dataclass(frozen=True)
class Price:
    """What a model takes for a request (Chen et al., arXiv:2305.05176, section 2):

        cost = c_in * tokens read + c_out * tokens written + c_request

    Decimals, so that a million small costs add up exactly: `Price(Decimal("0.00001"), Decimal("0.00003"))`. Raises
    ValueError for a price below 0.
    """

    c_in: Decimal
    c_out: Decimal
    c_request: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if not min(self.c_in, self.c_out, self.c_request) >= 0:
            raise ValueError(f"prices must not be negative, got {self}")

    def of(self, usage: Usage) -> Decimal:
        """The cost of one request."""
        return self.c_in * usage.prompt_tokens + self.c_out * usage.completion_tokens + self.c_request


class Metered:
    """A client that writes the cost on every answer and adds it up in `spent`; what came from a cache is free."""

    def __init__(self, client: Client, price: Price) -> None:
        self.client, self.price = client, price
        self.spent, self.usage, self.n_requests = Decimal(0), Usage(0, 0), 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The wrapped client's."""
        return self.client.name

    def complete(self, request: Request) -> Completion:
        """The client's answer, with its cost."""
        completion = self.client.complete(request)
        if completion.kept:
            return completion
        cost = self.price.of(completion.usage)
        with self._lock:
            self.spent += cost
            self.usage += completion.usage
            self.n_requests += 1
        return replace(completion, cost=cost)
