"""What commands print with: consoles for people, JSON for machines."""

import json
import math
from typing import Any

from rich.console import Console


def console(*, to_stderr: bool = False) -> Console:
    """For people. Nothing is coloured because it looks like a number."""
    return Console(stderr=to_stderr, highlight=False)


def print_json(value: Any) -> None:
    """For machines: strict JSON on stdout, and nothing else."""
    print(json.dumps(value, indent=1, allow_nan=False))


def json_numbers(value: Any) -> Any:
    """The same, with null for the numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {key: json_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [json_numbers(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
