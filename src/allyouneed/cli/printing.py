"""What commands print with: consoles for people, JSON for machines."""

import json
from typing import Any

from rich.console import Console


def console(*, to_stderr: bool = False) -> Console:
    """For people. Nothing is coloured because it looks like a number."""
    return Console(stderr=to_stderr, highlight=False)


def print_json(value: Any) -> None:
    """For machines: strict JSON on stdout, and nothing else."""
    print(json.dumps(value, indent=1, allow_nan=False))
