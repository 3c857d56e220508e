"""What a training will need, before it is begun: bytes by formula, and what the forward pass keeps, by trying it out
on PyTorch's meta device, where tensors have shapes and no memory."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from allyouneed.adaptation.adapters import Adapter, add_adapter
from allyouneed.data.batch import TokenBatch
from allyouneed.models.build import without_memory
from allyouneed.models.family import ModelConfig
from allyouneed.objectives import causal_lm

ADAM = 2  # numbers it keeps for each weight


@dataclass(frozen=True)
class Training:
    """What decides the memory of a training.

    adapter: None trains all weights. rows, length: of one forward pass.
    """

    config: ModelConfig
    adapter: Adapter | None
    rows: int
    length: int
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Memory:
    """Bytes by what they are for.

    weights: all of them. state: gradients and Adam's averages, of the trained ones. activations: what the forward
    pass keeps for the backward one.
    """

    n_weights: int
    n_trained: int
    weights: int
    state: int
    activations: int

    @property
    def total(self) -> int:
        """At the end of a forward pass, where it is highest; a little more in passing."""
        return self.weights + self.state + self.activations


def memory(training: Training) -> Memory:
    """What a step of AdamW needs. In float32: 4 bytes for a frozen weight, 16 for a trained one, and activations."""
    model = without_memory(training.config).to(training.dtype)
    if training.adapter is not None:
        add_adapter(model, training.adapter)
    each = list(model.parameters())
    trained = [parameter for parameter in each if parameter.requires_grad]
    return Memory(
        n_weights=sum(parameter.numel() for parameter in each),
        n_trained=sum(parameter.numel() for parameter in trained),
        weights=sum(parameter.nbytes for parameter in each),
        state=(1 + ADAM) * sum(parameter.nbytes for parameter in trained),
        activations=_kept_by_forward(model, training.rows, training.length),
    )


def _kept_by_forward(model: nn.Module, rows: int, length: int) -> int:
    """Bytes of the tensors that autograd keeps of a packed batch, each storage once, without the weights."""
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in weights:
            kept[storage] = tensor  # held, so that no other takes its number
        return tensor

    with torch.device("meta"), saved_tensors_hooks(pack, lambda tensor: tensor):
        tokens = torch.zeros(rows, length, dtype=torch.long)
        causal_lm(model, TokenBatch(tokens, tokens.clone(), segments=tokens.clone()))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def available(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            return None
