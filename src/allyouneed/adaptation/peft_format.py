"""Adapters on disk as peft keeps them: adapter_config.json and adapter_model.safetensors, with the names that the
model's family has on the hub, by its weight table.

Where a format has several of our matrices as one (GPT-2's queries, keys and values), peft has one A and one B for it:
one A for all of ours, and B cut into theirs. Ours with an A each are written with their ranks side by side, which is
the same function.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from allyouneed.adaptation.adapters import branches, plain_modules, put_branches
from allyouneed.adaptation.lora import Lora, LowRank, LowRankEmbedding
from allyouneed.adaptation.peft_config import LoraSettings, read_config, write_config
from allyouneed.adaptation.places import Place, places, short_names
from allyouneed.data.cache import atomic_write
from allyouneed.errors import UserError
from allyouneed.models.build import Model
from allyouneed.models.hub import read_json
from allyouneed.models.matching import SHOWN

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
KINDS = {  # of the tensors of a module, by how their names end
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_embedding_A": "A",
    ".lora_embedding_B": "B",
    ".base_layer.weight": "base",
}


@dataclass(frozen=True, eq=False)
class Factors:
    """A and B of one matrix of theirs, and their alpha."""

    a: Float[Tensor, "rank width"]
    b: Float[Tensor, "out rank"]
    alpha: float

    @property
    def rank(self) -> int:
        """Of their product, at most."""
        return self.a.shape[0]


def save_adapter(model: Model, folder: str | Path, name: str = "default", base: str | None = None) -> None:
    """Write one adapter as peft reads it; the config comes last, so that an interrupted save is no adapter.

    base: the model it belongs to; where it was loaded from, if left out. Raises ValueError if there is no adapter of
    that name or it is not LoRA, UserError if the disk refuses.
    """
    parts = branches(model, name)
    if not all(isinstance(part, LowRank) for part in parts.values()):
        raise ValueError(f"the adapter {name!r} is not LoRA, which is all that this format is written of here")
    every = places(model)
    factors = {place: _theirs(place, parts) for place in every if any(module in parts for module in place.ours)}
    tensors: dict[str, Tensor] = {}
    for place, pair in factors.items():
        is_embedding = isinstance(parts.get(place.ours[0]), LowRankEmbedding)
        for kind, factor in (("A", pair.a), ("B", pair.b)):
            ending = f".lora_embedding_{kind}" if is_embedding else f".lora_{kind}.weight"
            tensors[f"{PREFIX}{place.name}{ending}"] = factor.detach().cpu().contiguous()
    checkpoint: Any = model.checkpoint
    config = write_config(
        _settings(next(iter(parts.values())).config, {place.name: pair for place, pair in factors.items()}),
        short_names([place.name for place in factors], [place.name for place in every]),
        transposed=any(place.transposed for place in factors),
        base=str(checkpoint.folder) if base is None and checkpoint is not None else base,
    )
    atomic_write(Path(folder) / WEIGHTS, to_bytes(tensors, metadata={"format": "pt"}))
    atomic_write(Path(folder) / CONFIG, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def load_adapter(model: Model, folder: str | Path, name: str = "default") -> Lora:
    """Put an adapter that peft or `save_adapter` wrote into `model`, as `add_adapter` does, and return its config.

    Raises UserError for a folder without one, for what the config asks and this library cannot do, and for tensors
    that are not those of LoRA at this model's modules; it names them. Raises ValueError as `add_adapter`.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} is not an adapter: it has no {CONFIG}")
    settings = read_config(read_json(folder / CONFIG), str(folder / CONFIG))
    modules = plain_modules(model)
    built: dict[str, LowRank] = {}
    for place, factors in _read(model, folder, settings, modules):
        try:
            built |= _ours(place, factors, settings.lora, modules)
        except ValueError as error:
            raise UserError(f"{folder / WEIGHTS}: {place.name} is of another model: {error}") from error
    put_branches(model, built, name)
    return replace(settings.lora, targets=tuple(built))


def _theirs(place: Place, parts: Mapping[str, LowRank]) -> Factors:
    """Ours as one A and one B. A module that is not adapted has rows of 0."""
    adapted = [parts[module] for module in place.ours if module in parts]
    first = adapted[0]
    if isinstance(first, LowRankEmbedding):
        return Factors(first.a, first.b, first.config.alpha)
    each = {id(part.a): part.a for part in adapted}  # one that is shared counts once
    rank = sum(map(len, each.values()))
    columns = dict(zip(each, torch.arange(rank).split([len(a) for a in each.values()])))
    blocks = [first.b.new_zeros(size, rank) for size in place.sizes]
    for module, block in zip(place.ours, blocks):
        if module in parts:
            part = parts[module]
            block[:, columns[id(part.a)]] = part.b.detach() * (part.scale / first.scale)
    alpha = first.config.alpha * first.config.divisor(rank) / first.config.divisor(first.config.rank)
    return Factors(torch.cat(list(each.values())), torch.cat(blocks)[place.order], alpha)


def _ours(place: Place, factors: Factors, lora: Lora, modules: Mapping[str, Any]) -> dict[str, LowRank]:
    """Theirs as a branch for each of our modules, with one A. Raises ValueError for sizes that do not fit."""
    config = replace(lora, rank=factors.rank, alpha=factors.alpha)
    built = {module: config.build(modules[module]) for module in place.ours}
    first = built[place.ours[0]]
    by_module = [factors.b]
    if not isinstance(first, LowRankEmbedding):
        _check(factors.b, (len(place.order), factors.rank))
        by_module = list(factors.b[place.order.argsort()].split(place.sizes))
    _fill(first.a, factors.a)
    for branch, b in zip(built.values(), by_module):
        branch.share(first)
        _fill(branch.b, b)
    return built


@torch.no_grad()
def _fill(parameter: Tensor, values: Tensor) -> None:
    _check(values, tuple(parameter.shape))  # or copying would spread them over the whole
    parameter.copy_(values)


def _check(values: Tensor, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ValueError(f"there is {list(values.shape)} where {list(shape)} is needed")


def _read(
    model: Model, folder: Path, settings: LoraSettings, modules: Mapping[str, Any]
) -> list[tuple[Place, Factors]]:
    """The matrices of an adapter's file, each with the place that it belongs to."""
    # Their names have the family's prefix or not: it depends on the class that was wrapped.
    by_name = {name: place for place in places(model) for name in (place.also, place.name)}
    found: dict[str, dict[str, Tensor]] = {}
    unread = []
    for name, tensor in _tensors(folder).items():
        ending = next((ending for ending in KINDS if name.endswith(ending)), "")
        module = name.removeprefix(PREFIX).removesuffix(ending)
        if not ending or module not in by_name:
            unread.append(name)
        elif KINDS[ending] != "base":
            found.setdefault(module, {})[KINDS[ending]] = tensor
        elif not _is_weight(tensor, modules[by_name[module].ours[0]]):
            unread.append(name)  # peft adds a copy of an embedding, and this one was trained
    unread += [f"the other half of {module}" for module, pair in found.items() if len(pair) < 2]
    if unread or not found:
        more = f" and {len(unread) - SHOWN} more" if len(unread) > SHOWN else ""
        what = ", ".join(unread[:SHOWN]) + more if unread else "it is empty"
        raise UserError(f"{folder / WEIGHTS} is not LoRA of this model's modules alone: {what}")
    return [
        (by_name[module], Factors(pair["A"], pair["B"], settings.alpha_of(module))) for module, pair in found.items()
    ]


def _tensors(folder: Path) -> dict[str, Tensor]:
    file = folder / WEIGHTS
    if not file.is_file() and (folder / PICKLE).is_file():
        raise UserError(
            f"{folder} has its weights in {PICKLE}, a pickle, which is not read: reading one can run any code. "
            "Where you trust it, load it with peft and save it again"
        )
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read {file}: {error}") from error


def _is_weight(tensor: Tensor, module: Any) -> bool:
    return tensor.shape == module.weight.shape and torch.equal(tensor.to(module.weight), module.weight)


def _settings(lora: Lora, factors: Mapping[str, Factors]) -> LoraSettings:
    """The rank and alpha of most, and by name those of the others."""
    rank = Counter(pair.rank for pair in factors.values()).most_common(1)[0][0]
    alpha = Counter(pair.alpha for pair in factors.values()).most_common(1)[0][0]
    return LoraSettings(
        replace(lora, rank=rank, alpha=alpha),
        {name: pair.rank for name, pair in factors.items() if pair.rank != rank},
        {name: pair.alpha for name, pair in factors.items() if pair.alpha != alpha},
    )
