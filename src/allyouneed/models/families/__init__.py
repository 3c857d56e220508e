"""The families whose checkpoints are read and written: one file each, found by its name."""

import importlib
import pkgutil
from difflib import get_close_matches

from allyouneed.errors import UserError
from allyouneed.models.family import Family

NATIVE = "allyouneed"


def known_families() -> list[str]:
    """Their names, as `model_type` has them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def family(name: str) -> Family:
    """The family of that `model_type`. Raises UserError for an unknown one, with the nearest that is known."""
    known = known_families()
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        nearest = f"; the nearest is {near[0]}" if near else ""
        raise UserError(f"checkpoints of model_type {name!r} are not read; known: {', '.join(known)}{nearest}")
    return importlib.import_module(f"{__name__}.{name}").FAMILY
