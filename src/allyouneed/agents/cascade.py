"""A cascade of clients: ask the cheapest, stop at the first answer that its scorer trusts. Itself a client.

FrugalGPT (Chen et al., arXiv:2305.05176, section 3). How its models, thresholds and scorers are found: `calibration`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from allyouneed.agents.scorer import Scorer
from allyouneed.clients.client import Client, Completion, Request, Usage, complete_all


class Cascade:
    """Clients in the order of asking; an answer is taken if its scorer gives it more than its threshold, the last
    client's in any case.

    scorers, thresholds: one for each client but the last.
    at_once: requests that are under way at any time.

    An answer's `cost` and `usage` are those of all models that were asked for it; its `model` is the name, here, of
    who wrote it. Raises ValueError if the numbers of clients, scorers and thresholds do not fit.
    """

    def __init__(
        self,
        clients: Mapping[str, Client],
        scorers: Sequence[Scorer],
        thresholds: Sequence[float],
        *,
        at_once: int = 8,
    ) -> None:
        if not len(clients) - 1 == len(scorers) == len(thresholds):
            raise ValueError(f"{len(clients)} clients need a scorer and a threshold less; got {len(scorers)} scorers")
        self.clients, self.at_once = dict(clients), at_once
        self._settle = [*zip(scorers, thresholds), None]

    @property
    def name(self) -> str:
        """The clients' names and the thresholds between them."""
        asked = [
            client.name if settle is None else f"{client.name} > {settle[1]!r}"
            for client, settle in zip(self.clients.values(), self._settle)
        ]
        return f"cascade({', '.join(asked)})"

    def complete(self, request: Request) -> Completion:
        """The first answer that is trusted."""
        return self.complete_batch([request])[0]

    def complete_batch(self, requests: Sequence[Request]) -> list[Completion]:
        """The answers, in the order of the requests; each client is asked all that those before it did not settle."""
        taken: dict[int, Completion] = {}
        cost, usage = [Decimal(0)] * len(requests), [Usage(0, 0)] * len(requests)
        waiting = list(range(len(requests)))
        for (name, client), settle in zip(self.clients.items(), self._settle):
            answers = complete_all(client, [requests[i] for i in waiting], at_once=self.at_once)
            for i, answer in zip(waiting, answers):
                cost[i] += answer.cost
                usage[i] += answer.usage
                taken[i] = replace(answer, cost=cost[i], usage=usage[i], model=name)
            if settle is None or not waiting:
                break
            scorer, threshold = settle
            scores = scorer([requests[i].text for i in waiting], [answer.text for answer in answers])
            waiting = [i for i, score in zip(waiting, scores) if not score > threshold]
        return [taken[i] for i in range(len(requests))]
