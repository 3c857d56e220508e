"""Everything that decides how a training goes on: what a checkpoint holds."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from allyouneed.training.rng import rng_state, set_rng_state
from allyouneed.training.stream import Saved


class TrainingState:
    """The moving parts of one training, to be saved and restored together.

    `log` are the entries logged so far; they travel with the checkpoint, so that a resumed training
    tells the whole story.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, stream: Any, keep: Mapping[str, Saved]) -> None:
        self.model, self.optimizer = model, optimizer
        self.parts: dict[str, Saved] = {"stream": stream, **{f"keep/{name}": part for name, part in keep.items()}}
        self.device = next(model.parameters()).device
        self.step = 0
        self.log: list[dict[str, Any]] = []

    def state_dict(self, start: Mapping[str, str]) -> dict[str, Any]:
        """The state as a nest that a checkpoint can hold; the optimiser's part goes by parameter name.

        start: the digests of the model's tensors where training began. What is frozen and as it was is left out: the
        next process has it, too, or it would be another training.
        """
        return {
            "step": self.step,
            "log": self.log,
            "model": {
                name: tensor
                for name, tensor in _named_tensors(self.model)
                if tensor.requires_grad or _digest(tensor) != start[name]
            },
            "optimizer": {
                name: self.optimizer.state[parameter]
                for name, parameter in self.model.named_parameters()
                if parameter in self.optimizer.state
            },
            "rng": rng_state(self.device),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put everything back in a model that is as it was at the start; the generators last, so that nothing restored
        draws from them."""
        tensors = dict(_named_tensors(self.model))
        for name, saved in state["model"].items():
            tensors[name].copy_(saved)
        parameters = dict(self.model.named_parameters())
        for name, slots in state["optimizer"].items():
            # Fused AdamW keeps all its slots, its step counter too, on the parameter's device.
            self.optimizer.state[parameters[name]] = {key: slot.to(self.device) for key, slot in slots.items()}
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.step, self.log = state["step"], state["log"]
        set_rng_state(state["rng"], self.device)


def tensor_digests(model: nn.Module) -> dict[str, str]:
    """sha256 of each of the model's tensors by its name: shape, type and values."""
    return {name: _digest(tensor) for name, tensor in _named_tensors(model)}


def _digest(tensor: Tensor) -> str:
    plain = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{tuple(plain.shape)} {plain.dtype}".encode())
    digest.update(plain.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers by name, each tied tensor once."""
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor
