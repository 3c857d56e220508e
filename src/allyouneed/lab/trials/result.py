"""What one finished trial leaves behind, as plain Python values that survive JSON.

Light on purpose: the command line reads results without numpy or torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class TrialResult:
    """The measurements of one arm with one seed.

    `measurements` are numbers, or lists of numbers over items or rounds; `log` holds the rows that
    `run.log` was given; `shown` maps a label to a text for the report; `seconds` is processor time, on a GPU wall time;
    `factors` maps the factors of a grid to their values' names.
    """

    trial: str
    arm: str
    seed: int
    measurements: dict[str, float | list[float]]
    log: list[dict[str, Any]]
    shown: dict[str, str]
    seconds: float
    factors: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` gives back an equal result, NaN and infinities included."""
        return {field.name: to_json(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrialResult":
        """The result that `to_dict` described. Raises KeyError or TypeError where a field is missing or unknown."""
        return cls(**{name: from_json(value) for name, value in values.items()})


def to_json(value: Any) -> Any:
    """A nest of dicts, lists and plain values for strict JSON, which has no NaN: that becomes {"float": "nan"}."""
    if isinstance(value, Mapping):
        return {name: to_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def from_json(value: Any) -> Any:
    """The nest that `to_json` described; tuples come back as lists."""
    if isinstance(value, Mapping):
        if value.keys() == {"float"} and isinstance(value["float"], str):
            return float(value["float"])
        return {name: from_json(inner) for name, inner in value.items()}
    return [from_json(inner) for inner in value] if isinstance(value, list) else value
