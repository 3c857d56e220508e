"""DDIM: another chain with the same training, that may go back without noise and in large steps.

Song, Meng and Ermon, "Denoising Diffusion Implicit Models", 2020, arXiv:2010.02502, equations 12 and 16.

    x_before = sqrt(alpha-bar_before) x_0 + sqrt(1 - alpha-bar_before - sigma^2) noise + sigma z
    sigma^2  = eta^2 beta-tilde

With eta = 1 this is DDPM with the small variance; with eta = 0 the noise at the start decides the picture. The noise is
that which goes with the picture as it was clipped; that of the network's answer would lead elsewhere. (diffusers takes
the answer's unless told `use_clipped_model_output`.)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.diffusion.process import Process, mix, noise_of_x0
from allyouneed.diffusion.sampling import draw_like


@dataclass(frozen=True)
class DDIM:
    """eta: the share of DDPM's noise (its deviation) that each step adds, 0 to 1."""

    process: Process
    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], got {self.eta}")

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
        variance = self.eta**2 * at.posterior_variance
        x = mix(
            at.alpha_bar_before.sqrt(),
            x0,
            (1 - at.alpha_bar_before - variance).clamp(min=0).sqrt(),
            noise_of_x0(x0, xt, at),
        )
        if self.eta > 0:
            x = mix(torch.ones_like(variance), x, variance.sqrt(), draw_like(xt, generator))
        return x, x0
