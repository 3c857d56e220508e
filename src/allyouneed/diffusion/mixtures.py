"""Mixtures of Gaussians: data for which all that a denoiser can know has a closed form.

With noise on top a mixture is a mixture again, x_t ~ sum_k w_k N(sqrt(ab) m_k, ab C_k + (1 - ab) I), so that its best
denoiser E[x_0 | x_t], its score and its density are exact at every step. Samplers, losses and bounds are tested
against it; one component fitted to data is the trivial denoiser, the best linear one.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from allyouneed.diffusion.process import Process, noise_of_x0
from allyouneed.diffusion.sampling import Denoise


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture over `dim` numbers, in float64. Data of more axes are read as vectors."""

    weights: Float64[Tensor, "components"]
    means: Float64[Tensor, "components dim"]
    covariances: Float64[Tensor, "components dim dim"]

    @classmethod
    def fitted(cls, x: Float[Tensor, "items *shape"]) -> "GaussianMixture":
        """One Gaussian with the mean and the covariance of some data."""
        flat = x.flatten(1).double()
        return cls(torch.ones(1, dtype=torch.float64), flat.mean(0)[None], torch.cov(flat.T, correction=0)[None])

    def sample(self, n: int, generator: torch.Generator | None = None) -> Float64[Tensor, "n dim"]:
        """Draws."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)
        values, axes = self._axes
        return self.means[which] + torch.einsum("nij,nj->ni", axes[which] * values.sqrt()[which, None, :], noise)

    def log_density(
        self, xt: Float[Tensor, "batch *shape"], alpha_bar: Float64[Tensor, "..."] | float = 1.0
    ) -> Float64[Tensor, "batch"]:
        """Log density of data with noise on top; alpha_bar: one number, or one a row."""
        return torch.logsumexp(self._log_parts(xt, alpha_bar)[0], dim=1)

    def x0(self, xt: Float[Tensor, "batch *shape"], alpha_bar: Float64[Tensor, "..."] | float) -> Tensor:
        """E[x_0 | x_t], as `xt`."""
        parts, away, noisy = self._log_parts(xt, alpha_bar)
        ab = _column(alpha_bar)[:, :, None]
        values, axes = self._axes
        guess = self.means + torch.einsum("kij,nkj->nki", axes, ab.sqrt() * values * away / noisy)
        return torch.einsum("nk,nki->ni", parts.softmax(1), guess).view(xt.shape).to(xt.dtype)

    def score(self, xt: Float[Tensor, "batch *shape"], alpha_bar: Float64[Tensor, "..."] | float) -> Tensor:
        """The gradient of `log_density` with respect to x_t, as `xt` (Tweedie's formula: it gives `x0`)."""
        ab = _column(alpha_bar)
        flat, guess = xt.flatten(1).double(), self.x0(xt, alpha_bar).flatten(1).double()
        return ((ab.sqrt() * guess - flat) / (1 - ab)).view(xt.shape).to(xt.dtype)

    def denoiser(self, process: Process) -> Denoise:
        """The best network there can be: it answers with the expectation of what `process` predicts."""

        def denoise(xt: Float[Tensor, "batch *shape"], t: Int[Tensor, "batch"]) -> Tensor:
            at = process.schedule.at(t, xt)
            x0 = self.x0(xt, at.alpha_bar.flatten())
            # Every target is linear in x_0 for a given x_t, so that its expectation follows from that of x_0.
            return process.prediction.target(x0, noise_of_x0(x0, xt, at), xt, at)

        return denoise

    @cached_property
    def _axes(self) -> tuple[Float64[Tensor, "components dim"], Float64[Tensor, "components dim dim"]]:
        """Variances along each component's own axes, and the axes (columns)."""
        values, axes = torch.linalg.eigh(self.covariances)
        return values.clamp(min=0), axes

    def _log_parts(self, xt: Tensor, alpha_bar: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """For each row and component: the log of its share, the distance along its axes, the variances there."""
        ab = _column(alpha_bar)[:, :, None]
        values, axes = self._axes
        away = torch.einsum("nki,kij->nkj", xt.flatten(1).double()[:, None] - ab.sqrt() * self.means, axes)
        noisy = ab * values + 1 - ab
        log_normal = -(away**2 / noisy + noisy.log() + math.log(2 * math.pi)).sum(-1) / 2
        return self.weights.log() + log_normal, away, noisy


def _column(alpha_bar: Tensor | float) -> Float64[Tensor, "rows 1"]:
    return torch.as_tensor(alpha_bar, dtype=torch.float64).reshape(-1, 1)
