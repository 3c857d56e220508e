"""Batches may be any nest of tensors: a dataclass, a dict, a tuple or list of them, or one tensor."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """The same nest with `function` applied to every tensor; whatever else it holds stays as it is."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, dict):
        return {key: map_tensors(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(map_tensors(function, value) for value in nest))
    if isinstance(nest, list | tuple):
        return type(nest)(map_tensors(function, value) for value in nest)
    if is_dataclass(nest) and not isinstance(nest, type):
        return replace(nest, **{f.name: map_tensors(function, getattr(nest, f.name)) for f in fields(nest) if f.init})
    return nest


def batch_size(nest: Any) -> int:
    """The length of the leading axis, which all tensors of a batch share.

    Raises ValueError if there is no tensor, or if two of them disagree.
    """
    sizes: set[int] = set()

    def note(tensor: Tensor) -> Tensor:
        if tensor.ndim == 0:
            raise ValueError("a batch that is cut into micro-batches holds a tensor without a batch axis")
        sizes.add(tensor.shape[0])
        return tensor

    map_tensors(note, nest)
    if len(sizes) != 1:
        raise ValueError(f"the tensors of a batch must share one leading axis, got lengths {sorted(sizes)}")
    return sizes.pop()


def micro_batches(nest: Any, size: int | None) -> Iterator[Any]:
    """Cut a batch into slices of `size` rows, the last one shorter if need be; None leaves it whole."""
    if size is None:
        yield nest
        return
    for start in range(0, batch_size(nest), size):
        yield map_tensors(lambda tensor, start=start: tensor[start : start + size], nest)  # type: ignore[misc]
