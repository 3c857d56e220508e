"""Which tensors of a checkpoint's files are which of a family's weight table: by name, and by shape."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

import torch

from allyouneed.errors import UserError
from allyouneed.models.family import Family
from allyouneed.models.shards import Stored
from allyouneed.models.weight_table import Weight

SHOWN = 8  # names in a message; whoever needs more has the wrong checkpoint
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def today(kind: Family, name: str) -> tuple[str, str]:
    """What the table may call the tensor that a file calls `name`: without and with the family's prefix."""
    for old, new in kind.renamed.items():
        name = re.sub(f"{old}$", new, name)
    for outer in kind.outer:
        name = name.removeprefix(outer)
    return name, kind.prefix + name


def match(
    kind: Family, table: Iterable[Weight], shapes: dict[str, torch.Size], stored: Mapping[str, Stored], folder: Path
) -> dict[str, str]:
    """For each of their names in the table, the name that the files have it under.

    shapes: of our tensors. Raises UserError that names the tensors which are missing, unexpected, of another shape
    or not of floating-point numbers.
    """
    expected = {name: shape for entry in table for name, shape in entry.their_shapes(shapes).items()}
    found: dict[str, str] = {}
    unexpected, wrong = [], []
    for name, tensor in stored.items():
        place = next((known for known in today(kind, name) if known in expected), None)
        if place is None:
            if not _ignored(kind, name):
                unexpected.append(name)
            continue
        if place in found:
            wrong.append(f"{name} is there under the name {found[place]} as well")
        found[place] = name
        if tensor.shape != expected[place]:
            wrong.append(f"{name} is {list(tensor.shape)}, {list(expected[place])} by config.json")
        elif tensor.dtype not in FLOATS:
            wrong.append(f"{name} is of type {tensor.dtype}; read are {', '.join(FLOATS)}")
    missing = [name for name in expected if name not in found]
    lists = {"missing": missing, "unexpected": unexpected, "not as they must be": wrong}
    if any(lists.values()):
        what = "; ".join(f"{kind_}: {_some(names)}" for kind_, names in lists.items() if names)
        raise UserError(f"the tensors in {folder} are not those of its config.json. {what}")
    return found


def _ignored(kind: Family, name: str) -> bool:
    """It carries nothing; or it is the head's, and the head was found to be tied."""
    known = today(kind, name)
    return kind.head in known or any(fnmatch(one, pattern) for one in known for pattern in kind.ignored)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
