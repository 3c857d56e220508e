"""Going back: the loop that all samplers share. It takes any callable for the network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""`denoise(xt, t) -> prediction`: xt (batch, ...), t (batch) whole numbers; the answer is as `xt`."""


@runtime_checkable
class Sampler(Protocol):
    """One step of a method, from x_t to x_before, by what the network says of x_t."""

    def step(
        self,
        output: Float[Tensor, "batch *shape"],
        xt: Float[Tensor, "batch *shape"],
        t: Int[Tensor, "1"],
        before: Int[Tensor, "1"],
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "batch *shape"]]:
        """x_before, and the picture as it looks from here. before: -1 for the data."""
        ...


@dataclass(frozen=True, eq=False)
class Stage:
    """Where a sampler stands after it has left step t: at `x`, with `x0` for its guess of the picture."""

    t: int
    x: Float[Tensor, "batch *shape"]
    x0: Float[Tensor, "batch *shape"]


@torch.no_grad()
def trajectory(
    denoise: Denoise,
    noise: Float[Tensor, "batch *shape"],
    sampler: Sampler,
    timesteps: Sequence[int],
    generator: torch.Generator | None = None,
) -> Iterator[Stage]:
    """Every stage on the way from noise to a picture; `x` of the last is the picture.

    timesteps: the steps to visit, falling (see `timesteps`). generator: of the noise that is added on the way, on the
    device of `noise`; torch's global one unless given. Raises ValueError for steps that do not fall.
    """
    steps = [*timesteps, -1]
    if any(after >= before for before, after in pairwise(steps)):
        raise ValueError(f"timesteps must fall and not go below 0, got {list(timesteps)}")
    x = noise
    for t, before in pairwise(steps):
        here, there = (torch.tensor([step], device=x.device) for step in (t, before))
        x, x0 = sampler.step(denoise(x, here.expand(len(x))), x, here, there, generator)
        yield Stage(t, x, x0)


def sample(
    denoise: Denoise,
    noise: Float[Tensor, "batch *shape"],
    sampler: Sampler,
    timesteps: Sequence[int],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch *shape"]:
    """The picture at the end of the `trajectory`."""
    stage = None
    for stage in trajectory(denoise, noise, sampler, timesteps, generator):  # noqa: B007 - the last one counts
        pass
    if stage is None:
        raise ValueError("there is no step to take")
    return stage.x


def draw_like(x: Float[Tensor, "batch *shape"], generator: torch.Generator | None) -> Float[Tensor, "batch *shape"]:
    """Standard normal noise for x."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
