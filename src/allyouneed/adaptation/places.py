"""Which matrices of a model's format are which modules of ours: what names and shapes of adapters on disk come from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from allyouneed.adaptation.lora import ALL_LINEAR
from allyouneed.models.build import Model, without_memory
from allyouneed.models.family import last_stack
from allyouneed.models.hub import family_of, table_of
from allyouneed.models.weight_table import Fused


@dataclass(frozen=True, eq=False)
class Place:
    """One matrix of theirs.

    name: of its module. also: what the module is called in a model of theirs without a head, or with one.
    ours: the modules that it is. sizes: the rows of each.
    order: of each row of theirs, which it is of our rows, one module's below the other's.
    transposed: theirs is (in, out).
    """

    name: str
    also: str
    ours: tuple[str, ...]
    sizes: tuple[int, ...]
    order: Int[Tensor, "rows"]
    transposed: bool


def places(model: Model) -> list[Place]:
    """Every matrix of the model's format, whether or not adapters are in the model."""
    bare = without_memory(model.config)
    bare.checkpoint = model.checkpoint
    kind = family_of(bare)
    shapes = {name: parameter.shape for name, parameter in bare.named_parameters()}
    found = []
    for entry in table_of(kind, bare):
        both = [shapes[name] for name in entry.ours] + list(entry.their_shapes(shapes).values())
        if any(not name.endswith(".weight") for name in entry.ours) or any(len(shape) != 2 for shape in both):
            continue
        sizes = tuple(shapes[name][0] for name in entry.ours)
        # A row is one output, and so is an entry of a bias: the order in which biases stand is that of the rows.
        (order,) = entry.layout.write(list(torch.arange(sum(sizes)).split(sizes)))
        names = [entry.theirs[0].removesuffix(".weight")]
        names.append(names[0].removeprefix(kind.prefix))
        name, also = names if last_stack(model.config).has_head else reversed(names)
        ours = tuple(name.removesuffix(".weight") for name in entry.ours)
        transposed = isinstance(entry.layout, Fused) and entry.layout.transposed
        found.append(Place(name, also, ours, sizes, order, transposed))
    return found


def fused(model: Model) -> list[tuple[str, ...]]:
    """The modules of ours that the model's format has as one, group by group: what `add_adapter(share=...)` takes to
    have one A for each group, as peft does."""
    return [place.ours for place in places(model) if len(place.ours) > 1]


def short_names(chosen: Sequence[str], every: Sequence[str]) -> list[str]:
    """How the chosen names end, if that chooses them and no others; else the names."""
    ends = {name.rpartition(".")[2] for name in chosen}
    meant = {name for name in every if name.rpartition(".")[2] in ends}
    return sorted(ends if meant == set(chosen) else chosen)


def patterns(model: Model, names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """What a user's names mean as patterns of module names, and whether one is of a matrix that theirs has fused.

    A name is "all" (every linear of every layer), how modules of ours end ("q"), how modules of the model's format end
    ("q_proj", "c_attn"), or a pattern.
    """
    known = places(model)
    found: list[str] = []
    together = False
    for name in names:
        ours = [place for place in known if place.name.rpartition(".")[2] == name]
        if name == "all":
            found += ALL_LINEAR
        elif ours and not any(module.rpartition(".")[2] == name for place in known for module in place.ours):
            found += [module for place in ours for module in place.ours]
            together = together or any(len(place.ours) > 1 for place in ours)
        else:
            found.append(name if any(mark in name for mark in "*?[.") else f"*.{name}")
    return tuple(found), together
