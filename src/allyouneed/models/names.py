"""Configs as plain values and back: each block by its name, with its fields."""

import dataclasses
from typing import Any

from allyouneed import blocks, models
from allyouneed.errors import UserError


def to_names(config: Any) -> Any:
    """JSON values that `from_names` makes the config of again.

    Raises ValueError for a block that is not this library's: its name would mean nothing to a reader.
    """
    if isinstance(config, tuple):
        return [to_names(part) for part in config]
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    name = type(config).__name__
    if _known(name) is not type(config):
        raise ValueError(f"{name} is not a block of this library, so that no name stands for it")
    fields = {field.name: to_names(getattr(config, field.name)) for field in dataclasses.fields(config)}
    return {"is": name} | fields


def from_names(values: Any) -> Any:
    """The config that gave `values`. Raises UserError for a name or a field that does not exist."""
    if isinstance(values, list):
        return tuple(from_names(part) for part in values)
    if not isinstance(values, dict):
        return values
    fields = {key: from_names(value) for key, value in values.items() if key != "is"}
    config = _known(values.get("is"))
    if config is None:
        raise UserError(f"there is no block {values.get('is')!r}")
    try:
        return config(**fields)
    except TypeError as error:
        raise UserError(f"{values['is']}: {error}") from error


def _known(name: Any) -> Any:
    """The config class of that name, None if there is none."""
    for room in (blocks, models):
        found = getattr(room, name, None) if isinstance(name, str) else None
        if dataclasses.is_dataclass(found):
            return found
    return None
