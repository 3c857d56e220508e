"""Clients by name, for the command line: `local:DIR`, `openai:MODEL@URL`, `recorded:FILE`."""

from collections.abc import Callable

from allyouneed.clients.client import Client
from allyouneed.clients.endpoint import OPENAI, Endpoint
from allyouneed.clients.recorded import Replay
from allyouneed.clients.retrying import Retrying
from allyouneed.errors import UserError

FORMS = "local:DIR (or a name on the hub), openai:MODEL or openai:MODEL@URL, recorded:FILE"


def client(spec: str) -> Client:
    """The client that a spec names; endpoints are asked again when they fail for the moment.

    Raises UserError for a spec of no known form, and what opening it raises.
    """
    kind, _, rest = spec.partition(":")
    kinds: dict[str, Callable[[str], Client]] = {"local": _local, "openai": _endpoint, "recorded": Replay}
    if kind not in kinds or not rest:
        raise UserError(f"{spec!r} names no client; it has one of the forms {FORMS}")
    return kinds[kind](rest)


def _local(source: str) -> Client:
    from allyouneed.clients.local import Local  # torch is imported where it is used

    return Local.open(source)


def _endpoint(rest: str) -> Client:
    model, _, url = rest.partition("@")
    return Retrying(Endpoint(model, url or OPENAI))
