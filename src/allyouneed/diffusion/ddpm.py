"""Ancestral sampling: the chain backwards, with fresh noise at every step (arXiv:2006.11239, algorithm 2).

x_before = mu-tilde(x_t, x_0) + sigma z,    x_0 as the network guesses it, sigma^2 one of two fixed variances
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.diffusion.process import Process, Variance, fixed_small, mix, posterior_mean
from allyouneed.diffusion.sampling import draw_like


@dataclass(frozen=True)
class Ancestral:
    """variance: of each step, `fixed_small` or `fixed_large`; the step to the data has none."""

    process: Process
    variance: Variance = fixed_small

    def step(
        self,
        output: Float[Tensor, "batch *shape"],
        xt: Float[Tensor, "batch *shape"],
        t: Int[Tensor, "1"],
        before: Int[Tensor, "1"],
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "batch *shape"]]:
        """See `Sampler`."""
        x0, at = self.process.x0(output, xt, t), self.process.schedule.at(t, xt, before)
        mean = posterior_mean(x0, xt, at)
        if before < 0:
            return mean, x0
        return mix(torch.ones_like(at.beta), mean, self.variance(at).sqrt(), draw_like(xt, generator)), x0
