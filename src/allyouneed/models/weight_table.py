"""Weight tables: which tensors of a checkpoint are which of ours, and how one layout turns into the other.

A table is a list of entries, each invertible, so that one list loads and saves:

    weight("layers.{layer}.norms.mixer.weight", "model.layers.{layer}.input_layernorm.weight")
    weight(["...q.weight", "...k.weight", "...v.weight"], "h.{layer}.attn.c_attn.weight", Fused(transposed=True))

`{layer}` stands for each layer's number. A table may name more than a model has (biases, a head of its own): entries
whose tensors the model lacks are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Shapes = Sequence[torch.Size]


@runtime_checkable
class Layout(Protocol):
    """How tensors of theirs and of ours turn into one another."""

    def read(self, theirs: list[Tensor], shapes: Shapes) -> list[Tensor]:
        """Ours, of the given shapes."""
        ...

    def write(self, ours: list[Tensor]) -> list[Tensor]:
        """Theirs. It works on meta tensors too, which gives the shapes that a checkpoint must have."""
        ...


@dataclass(frozen=True)
class Same:
    """Tensor for tensor."""

    def read(self, theirs: list[Tensor], shapes: Shapes) -> list[Tensor]:
        """Unchanged."""
        return theirs

    def write(self, ours: list[Tensor]) -> list[Tensor]:
        """Unchanged."""
        return ours


@dataclass(frozen=True)
class Fused:
    """One tensor of theirs is several of ours, one below the other.

    transposed: theirs is (in, out), where a linear here is (out, in).
    """

    transposed: bool = False

    def read(self, theirs: list[Tensor], shapes: Shapes) -> list[Tensor]:
        """Cut into stretches of rows."""
        (fused,) = theirs
        rows = fused.T if self.transposed and fused.ndim == 2 else fused
        return list(rows.split([shape[0] for shape in shapes]))

    def write(self, ours: list[Tensor]) -> list[Tensor]:
        """Stacked."""
        rows = torch.cat(ours)
        return [rows.T if self.transposed and rows.ndim == 2 else rows]


@dataclass(frozen=True)
class Shaped:
    """The same numbers in the same order, in tensors of another shape."""

    theirs: tuple[int, ...]

    def read(self, theirs: list[Tensor], shapes: Shapes) -> list[Tensor]:
        """In our shape."""
        return [tensor.reshape(shape) for tensor, shape in zip(theirs, shapes)]

    def write(self, ours: list[Tensor]) -> list[Tensor]:
        """In theirs."""
        return [tensor.reshape(self.theirs) for tensor in ours]


@dataclass(frozen=True)
class FusedByHead:
    """One tensor of theirs holds for each head the rows of several of ours: its query, its key, its value."""

    n_heads: int

    def read(self, theirs: list[Tensor], shapes: Shapes) -> list[Tensor]:
        """Every head's rows to their tensor."""
        (fused,) = theirs
        by_head = fused.unflatten(0, (self.n_heads, len(shapes), -1))
        return [by_head[:, part].flatten(0, 1) for part in range(len(shapes))]

    def write(self, ours: list[Tensor]) -> list[Tensor]:
        """Head by head."""
        by_head = torch.stack([tensor.unflatten(0, (self.n_heads, -1)) for tensor in ours], dim=1)
        return [by_head.flatten(0, 2)]


@dataclass(frozen=True)
class Weight:
    """One entry: names of ours, names of theirs, each one or several, and the layout between them."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    layout: Layout = field(default_factory=Same)

    def at(self, layer: int) -> "Weight":
        """The entry of one layer."""

        def named(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name.replace("{layer}", str(layer)) for name in names)

        return Weight(named(self.ours), named(self.theirs), self.layout)

    def their_shapes(self, shapes: dict[str, torch.Size]) -> dict[str, torch.Size]:
        """The shapes that theirs have if ours have `shapes`."""
        ours = [torch.empty(shapes[name], device="meta") for name in self.ours]
        return {name: tensor.shape for name, tensor in zip(self.theirs, self.layout.write(ours))}


def weight(ours: str | Sequence[str], theirs: str | Sequence[str], layout: Layout | None = None) -> Weight:
    """An entry, of one name or several on either side."""

    def names(given: str | Sequence[str]) -> tuple[str, ...]:
        return (given,) if isinstance(given, str) else tuple(given)

    return Weight(names(ours), names(theirs), layout if layout is not None else Same())


def linear(ours: str | Sequence[str], theirs: str, layout: Layout | None = None) -> list[Weight]:
    """The entries of a module's weight and bias; ours may be several modules that theirs fuses."""
    modules = (ours,) if isinstance(ours, str) else tuple(ours)
    kinds = ("weight", "bias")
    return [weight([f"{module}.{kind}" for module in modules], f"{theirs}.{kind}", layout) for kind in kinds]


def entries(table: Iterable[Weight], shapes: dict[str, torch.Size], n_layers: int) -> list[Weight]:
    """The table's entries for a model with these tensors, one for each layer where it says so.

    Raises ValueError if a tensor of the model has no entry, or more than one.
    """
    found: list[Weight] = []
    for entry in table:
        per_layer = any("{layer}" in name for name in entry.ours + entry.theirs)
        found += [entry.at(layer) for layer in range(n_layers)] if per_layer else [entry]
    found = [entry for entry in found if all(name in shapes for name in entry.ours)]
    named = [name for entry in found for name in entry.ours]
    if sorted(named) != sorted(shapes):
        missing, twice = set(shapes) - set(named), {name for name in named if named.count(name) > 1}
        raise ValueError(f"the weight table does not fit the model: without an entry {missing}, with several {twice}")
    return found
