"""The variational bound: how many nats the chain needs to tell a picture, term by term.

DDPM, arXiv:2006.11239, equation 5 and sections 3.1 to 3.3. A sender who shares the reverse chain with the receiver
tells x_T, then each x_before, then the picture; on the way the receiver's guess gets better (section 4.3).

    L_T     = KL(q(x_T | x_0) || N(0, 1))                    what is left at the noisy end: no network in it
    L_t     = KL(q(x_before | x_t, x_0) || p(x_before | x_t))
    L_0     = -log p(x_0 | x_1)                              a decoder's
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.special import log_ndtr

from allyouneed.diffusion.process import Process, Variance, add_noise, fixed_small, posterior_mean
from allyouneed.diffusion.sampling import Denoise, draw_like


@runtime_checkable
class Decoder(Protocol):
    """How probable data are where the chain ends: -log p, in nats, element by element."""

    def nll(self, x0: Tensor, mean: Tensor, variance: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Discretised:
    """Pixels that take `n_levels` values, evenly from -1 to 1: the normal's mass between the middles of neighbours, the
    first and the last bin open (equation 13). Logarithms throughout, so that what is improbable keeps its gradient.
    """

    n_levels: int = 256

    def nll(
        self,
        x0: Float[Tensor, "batch *shape"],
        mean: Float[Tensor, "batch *shape"],
        variance: Float[Tensor, "#batch *ones"],
    ) -> Float[Tensor, "batch *shape"]:
        """Of the bin that each pixel lies in."""
        half, scale = 1 / (self.n_levels - 1), variance.rsqrt()
        low, high = (x0 - half - mean) * scale, (x0 + half - mean) * scale
        turned = low + high > 0  # the same mass on the left, where its logarithm is exact
        left, right = torch.where(turned, -high, low), torch.where(turned, -low, high)
        log_right = log_ndtr(right)
        inner = log_right + torch.log(-torch.expm1(log_ndtr(left) - log_right))
        end = 1 - half
        return -torch.where(x0 < -end, log_ndtr(high), torch.where(x0 > end, log_ndtr(-low), inner))


@dataclass(frozen=True)
class Density:
    """Real numbers: the normal density itself."""

    def nll(
        self,
        x0: Float[Tensor, "batch *shape"],
        mean: Float[Tensor, "batch *shape"],
        variance: Float[Tensor, "#batch *ones"],
    ) -> Float[Tensor, "batch *shape"]:
        """Of each number."""
        return ((x0 - mean) ** 2 / variance + torch.log(2 * math.pi * variance)) / 2


@dataclass(frozen=True)
class Bound:
    """The terms of the bound for one process. Guesses are clipped as the process says; to train, do not clip.

    variance: of the steps back. decoder_variance: of the last one; beta-tilde of the step before it unless given, for
    its own is 0 (as the paper's code has it).
    """

    process: Process
    decoder: Decoder
    variance: Variance = fixed_small
    decoder_variance: float | None = None

    def term(
        self,
        output: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"],
        xt: Float[Tensor, "batch *shape"],
        t: Int[Tensor, "batch"],
    ) -> Float[Tensor, "batch"]:
        """L_t of each row in nats, for what the network says of x_t; L_0 where t is 0."""
        guess = self.process.x0(output, xt, t)
        # A step of its own for rows at 0, whose posterior has no width: their divergence is not used.
        at = self.process.schedule.at(t.clamp(min=1), xt)
        apart = posterior_mean(x0, xt, at) - posterior_mean(guess, xt, at)
        ours, theirs = self.variance(at).to(xt.dtype), at.posterior_variance.to(xt.dtype)
        divergence = ((ours / theirs).log() + theirs / ours - 1 + apart**2 / ours) / 2
        at_0 = (t == 0).view(-1, *(1,) * (xt.ndim - 1))
        # Elsewhere a guess may be thousands of deviations off, and what is not used must not spoil the gradient.
        last = self.decoder.nll(x0, torch.where(at_0, guess, x0), self._last_variance(xt))
        nats = torch.where(at_0, last, divergence)
        return nats.flatten(1).sum(1)

    def prior(self, x0: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch"]:
        """L_T of each row in nats."""
        left = self.process.schedule.alphas_cumprod[-1].to(x0)
        return ((left * x0**2 - left - torch.log1p(-left)) / 2).flatten(1).sum(1)

    def _last_variance(self, like: Tensor) -> Tensor:
        if self.decoder_variance is not None:
            return torch.full((1,) * like.ndim, self.decoder_variance, dtype=like.dtype, device=like.device)
        second = torch.ones(1, dtype=torch.long, device=like.device)
        return self.process.schedule.at(second, like).posterior_variance.to(like.dtype)


@dataclass(frozen=True, eq=False)
class Term:
    """One term of the bound over a batch: L_t in nats and the squared error of the picture guessed at step t, summed
    over each row's elements."""

    t: int
    nats: Float[Tensor, "batch"]
    squared_error: Float[Tensor, "batch"]


@torch.no_grad()
def bound_terms(
    denoise: Denoise, x0: Float[Tensor, "batch *shape"], bound: Bound, generator: torch.Generator | None = None
) -> Iterator[Term]:
    """All terms in the order in which a sender tells them: L_T first (t = n_steps: nothing is guessed, so that the
    guess is 0), L_0 last. Each takes one draw of x_t."""
    process = bound.process
    yield Term(process.schedule.n_steps, bound.prior(x0), (x0**2).flatten(1).sum(1))
    for step in reversed(range(process.schedule.n_steps)):
        t = torch.full((len(x0),), step, device=x0.device)
        xt = add_noise(x0, draw_like(x0, generator), process.schedule.at(t, x0))
        output = denoise(xt, t)
        error = process.x0(output, xt, t) - x0
        yield Term(step, bound.term(output, x0, xt, t), (error**2).flatten(1).sum(1))
