"""Every LLM paper says that something is all you need. `allyouneed` runs the claim.

Names are imported when they are first used: `import allyouneed` loads neither torch nor matplotlib.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allyouneed.generation import generate as generate
    from allyouneed.lab import Study as Study
    from allyouneed.lab import grid as grid
    from allyouneed.lab.api import run as run
    from allyouneed.models import Decoder as Decoder
    from allyouneed.models import DecoderConfig as DecoderConfig
    from allyouneed.models import Encoder as Encoder
    from allyouneed.models import EncoderConfig as EncoderConfig
    from allyouneed.models import EncoderDecoder as EncoderDecoder
    from allyouneed.models import EncoderDecoderConfig as EncoderDecoderConfig
    from allyouneed.models.hub import load as load
    from allyouneed.models.hub import save as save
    from allyouneed.models.hub import tokenizer as tokenizer
    from allyouneed.training import evaluate as evaluate
    from allyouneed.training import fit as fit

__version__ = "0.1.0"

_HOMES = {
    "generate": "allyouneed.generation",
    "Study": "allyouneed.lab",
    "grid": "allyouneed.lab",
    "run": "allyouneed.lab.api",
    "Decoder": "allyouneed.models",
    "DecoderConfig": "allyouneed.models",
    "Encoder": "allyouneed.models",
    "EncoderConfig": "allyouneed.models",
    "EncoderDecoder": "allyouneed.models",
    "EncoderDecoderConfig": "allyouneed.models",
    "load": "allyouneed.models.hub",
    "save": "allyouneed.models.hub",
    "tokenizer": "allyouneed.models.hub",
    "evaluate": "allyouneed.training",
    "fit": "allyouneed.training",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'allyouneed' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
