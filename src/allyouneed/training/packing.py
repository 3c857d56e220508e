"""A nest of plain values and tensors as JSON plus a table of named tensors, and back: a checkpoint without pickle."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

# A JSON object with exactly one of these keys stands for what JSON cannot say.
TENSOR, ARRAY, TUPLE = "$tensor", "$array", "$tuple"


def pack(nest: Any) -> tuple[Any, dict[str, Tensor]]:
    """Split a nest into a JSON value and the tensors it refers to, named by their place in the nest.

    Takes dicts with string keys, lists, tuples, None, booleans, numbers, strings, tensors and numpy
    arrays; anything else is a TypeError that names its place. The tensors are contiguous, on the CPU
    and share no memory with each other (safetensors asks for that).
    """
    tensors: dict[str, Tensor] = {}
    storages: set[int] = set()

    def store(tensor: Tensor, place: str) -> str:
        plain = tensor.detach().cpu().contiguous()
        if plain.untyped_storage().data_ptr() in storages:
            plain = plain.clone()
        storages.add(plain.untyped_storage().data_ptr())
        while place in tensors:
            place += "'"
        tensors[place] = plain
        return place

    def visit(value: Any, place: str) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Tensor):
            return {TENSOR: store(value, place)}
        if isinstance(value, np.ndarray):
            return {ARRAY: store(torch.from_numpy(value), place)}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, list | tuple):
            items = [visit(item, f"{place}/{index}") for index, item in enumerate(value)]
            return {TUPLE: items} if isinstance(value, tuple) else items
        if isinstance(value, dict) and all(isinstance(key, str) and key[:1] != "$" for key in value):
            return {key: visit(item, f"{place}/{key}" if place else key) for key, item in value.items()}
        raise TypeError(
            f"a checkpoint cannot hold {type(value).__name__} (at {place or 'the top'}): it takes dicts with string "
            "keys, lists, tuples, None, numbers, strings, tensors and numpy arrays"
        )

    return visit(nest, ""), tensors


def unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    """The nest that `pack` took apart."""
    if isinstance(packed, list):
        return [unpack(item, tensors) for item in packed]
    if not isinstance(packed, dict):
        return packed
    if packed.keys() == {TENSOR}:
        return tensors[packed[TENSOR]]
    if packed.keys() == {ARRAY}:
        return tensors[packed[ARRAY]].numpy()
    if packed.keys() == {TUPLE}:
        return tuple(unpack(item, tensors) for item in packed[TUPLE])
    return {key: unpack(item, tensors) for key, item in packed.items()}
