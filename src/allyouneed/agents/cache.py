"""A cache that also answers what is nearly the same question (Chen et al., arXiv:2305.05176, section 3).

Close in meaning is not the same: two sums that differ in a digit are closer to each other than either to its
paraphrase. Whoever sets the threshold below 1 should know the share of wrong hits at it on questions of their own.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
from jaxtyping import Float

from allyouneed.clients.client import Client, Completion, Request

Embed = Callable[[Sequence[str]], Float[np.ndarray, "texts width"]]
"""Vectors of texts; only their directions count."""


class SemanticCache:
    """A client that gives a kept answer to a request whose text has a cosine of at least `threshold` to one it knows.

    Requests with other settings share nothing. The same request is found whatever the threshold; `threshold=None`
    looks for nothing else. What is kept lives as long as the object; `Cached` keeps on the disk. `hits` counts what
    was found, `asked` what was not.
    """

    def __init__(self, client: Client, embed: Embed, threshold: float | None) -> None:
        if threshold is not None and not -1 <= threshold <= 1:
            raise ValueError(f"a cosine lies in [-1, 1], got the threshold {threshold}")
        self.client, self.embed, self.threshold = client, embed, threshold
        self.hits, self.asked = 0, 0
        self._exact: dict[str, Completion] = {}
        self._near: dict[str, tuple[list[Float[np.ndarray, width]], list[Completion]]] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The wrapped client's, and how close is close enough."""
        return f"{self.client.name} (or kept, {self.threshold})"

    def complete(self, request: Request) -> Completion:
        """A kept answer, or else the client's, which is then kept."""
        vector = self._vector(request)
        with self._lock:
            kept = self._kept(request, vector)
            self.hits += kept is not None
        if kept is not None:
            return kept
        completion = self.client.complete(request)
        with self._lock:
            self.asked += 1
            self._exact[request.key()] = completion
            if vector is not None:
                vectors, completions = self._near.setdefault(_settings(request), ([], []))
                vectors.append(vector)
                completions.append(completion)
        return completion

    def _kept(self, request: Request, vector: Float[np.ndarray, "width"] | None) -> Completion | None:
        found = self._exact.get(request.key())
        if found is None and vector is not None and _settings(request) in self._near:
            vectors, completions = self._near[_settings(request)]
            cosines = np.stack(vectors) @ vector
            nearest = int(cosines.argmax())
            if cosines[nearest] >= self.threshold:
                found = completions[nearest]
        return None if found is None else replace(found, cost=Decimal(0), kept=True)

    def _vector(self, request: Request) -> Float[np.ndarray, "width"] | None:
        if self.threshold is None:
            return None
        vector = np.asarray(self.embed([request.text])[0], dtype=np.float64)
        return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _settings(request: Request) -> str:
    """All of a request but its text."""
    return json.dumps(request.content() | {"prompt": isinstance(request.prompt, str)}, sort_keys=True)
