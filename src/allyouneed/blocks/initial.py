"""The values that weights start from, where a block does not have a law of its own.

A matrix is drawn from N(0, 1/width), the width being that of the vectors it reads; an embedding's is that of
its vectors. So a model of any size starts on one scale, which a fixed deviation does not give: GPT-2's 0.02
suits d_model 768, and at 64 it leaves sinusoidal positions four times as loud as the tokens they are added to.

Every value follows from a seed and the parameter's full name, so that models which share a name share
its start, whatever else they are made of and however they are spread over machines.
"""

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from allyouneed.blocks.linear import Linear

GeneratorFor = Callable[[str], torch.Generator]


def named_generator(seed: int, name: str) -> torch.Generator:
    """A generator that depends on nothing but `seed` and `name`."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@torch.no_grad()
def fill_normal(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    """Draw `parameter` from N(0, std^2), in float32 on the CPU so that no device or precision changes the draw."""
    values = torch.randn(parameter.shape, generator=generator, dtype=torch.float32, device="cpu")
    parameter.copy_(values * std)


def unit_std(matrix: Tensor) -> float:
    """The deviation 1 / sqrt(width) of a matrix (out, width)."""
    return matrix.shape[1] ** -0.5


class OutputProjection(Linear):
    """The linear that writes a sublayer's result into the residual stream.

    It starts smaller by sqrt(2 n_layers), so that the sum over a stack of two sublayers a layer keeps its
    scale (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.3).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool, n_layers: int) -> None:
        super().__init__(in_features, out_features, bias)
        self.n_layers = n_layers

    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """Smaller weights, no bias."""
        fill_normal(self.weight, unit_std(self.weight) / math.sqrt(2 * self.n_layers), generator_for("weight"))
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def initialize(model: nn.Module, seed: int) -> None:
    """Give every weight of `model` its start; the global generators are left alone.

    Linears and embeddings are drawn from N(0, 1/width), their biases are 0. A module with a method
    `init_parameters(generator_for)` does it for itself and what it holds; `generator_for(name)` gives
    the generator of its parameter `name`. Anything else keeps what its constructor gave. On PyTorch's meta device
    there is nothing to give a value to.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        return
    # Inner modules first: the law of an outer module overrides that of its parts.
    for path, module in reversed(list(model.named_modules())):
        own_law = getattr(module, "init_parameters", None)
        if own_law is not None:
            own_law(lambda name, path=path: named_generator(seed, f"{path}.{name}"))
        elif isinstance(module, nn.Linear | nn.Embedding):
            fill_normal(module.weight, unit_std(module.weight), named_generator(seed, f"{path}.weight"))
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
