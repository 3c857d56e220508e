"""One interface to language models: `complete(request) -> Completion`, whoever answers.

A model of this library (`Local`), an endpoint that speaks OpenAI's protocol (`Endpoint`) or a file of what was said
before (`Replay`) are clients; so is each wrapper around one: `Retrying`, `Cached`, `Metered`, `Recording`.
"""

from allyouneed.clients.cached import Cached as Cached
from allyouneed.clients.client import Client as Client
from allyouneed.clients.client import ClientError as ClientError
from allyouneed.clients.client import Completion as Completion
from allyouneed.clients.client import Message as Message
from allyouneed.clients.client import Request as Request
from allyouneed.clients.client import Unavailable as Unavailable
from allyouneed.clients.client import Usage as Usage
from allyouneed.clients.client import complete_all as complete_all
from allyouneed.clients.endpoint import Endpoint as Endpoint
from allyouneed.clients.metered import Metered as Metered
from allyouneed.clients.metered import Price as Price
from allyouneed.clients.recorded import Recording as Recording
from allyouneed.clients.recorded import Replay as Replay
from allyouneed.clients.retrying import Retrying as Retrying

__all__ = [
    "Cached",
    "Client",
    "ClientError",
    "Completion",
    "Endpoint",
    "Message",
    "Metered",
    "Price",
    "Recording",
    "Replay",
    "Request",
    "Retrying",
    "Unavailable",
    "Usage",
    "complete_all",
]
