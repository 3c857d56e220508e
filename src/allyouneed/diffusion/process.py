"""Denoising diffusion: destroy a picture by small steps of noise, and learn to go back.

Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", 2020, arXiv:2006.11239.

The idea: a chain of Gaussian steps that turns data into noise has a closed form at every step, and so has the step back
once the picture is known. A network guesses the picture from x_t (best by guessing the noise in it), and the step back
is taken as if the guess were true.

    x_t = sqrt(alpha-bar_t) x_0 + sqrt(1 - alpha-bar_t) noise                                       (equation 4)
    q(x_{t-1} | x_t, x_0) = N(c_0 x_0 + c_t x_t, beta-tilde_t)                                  (equations 6, 7)

| here                 | paper            | meaning                                            | section |
| -------------------- | ---------------- | -------------------------------------------------- | ------- |
| `x0`, `xt`           | x_0, x_t         | data, and what is left of them after step t        | 2       |
| `noise`              | epsilon          | standard normal                                    | 3.2     |
| `at`                 |                  | the moment: alpha-bar_t and its predecessor        | 2       |
| `posterior_mean`     | mu-tilde_t       | mean of the step back, for a known picture         | 2       |
| `fixed_small`        | beta-tilde_t     | its variance: the least that the step back can have | 3.2     |
| `fixed_large`        | beta_t           | the most that it can have                          | 3.2     |
| `Process.prediction` | epsilon_theta    | what the network's output is taken for             | 3.2     |

All formulas hold between any two steps, so that samplers may leave steps out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from allyouneed.diffusion.schedules import Moment, NoiseSchedule

Variance = Callable[[Moment], Tensor]
"""`variance(at)`: that of a step back; `fixed_small` or `fixed_large`."""


def add_noise(x0: Float[Tensor, "batch *shape"], noise: Float[Tensor, "batch *shape"], at: Moment) -> Tensor:
    """x_t (equation 4)."""
    return mix(at.alpha_bar.sqrt(), x0, (1 - at.alpha_bar).sqrt(), noise)


def x0_of_noise(noise: Float[Tensor, "batch *shape"], xt: Float[Tensor, "batch *shape"], at: Moment) -> Tensor:
    """The picture, if this is the noise in x_t (equation 15)."""
    return mix(at.alpha_bar.rsqrt(), xt, -(1 / at.alpha_bar - 1).sqrt(), noise)


def noise_of_x0(x0: Float[Tensor, "batch *shape"], xt: Float[Tensor, "batch *shape"], at: Moment) -> Tensor:
    """The noise, if this is the picture in x_t."""
    left = (1 - at.alpha_bar).rsqrt()
    return mix(left, xt, -left * at.alpha_bar.sqrt(), x0)


def posterior_mean(x0: Float[Tensor, "batch *shape"], xt: Float[Tensor, "batch *shape"], at: Moment) -> Tensor:
    """Mean of the step back from x_t, if the picture is known (equation 7)."""
    return mix(*_posterior_weights(at, x0, xt))


def x0_of_mean(mean: Float[Tensor, "batch *shape"], xt: Float[Tensor, "batch *shape"], at: Moment) -> Tensor:
    """The picture for which the step back from x_t has this mean."""
    of_x0, _, of_xt, _ = _posterior_weights(at, mean, xt)
    return mix(1 / of_x0, mean, -of_xt / of_x0, xt)


def fixed_small(at: Moment) -> Tensor:
    """beta-tilde_t: right where the data are one point."""
    return at.posterior_variance


def fixed_large(at: Moment) -> Tensor:
    """beta_t: right where the data are standard normal."""
    return at.beta


def mix(
    a: Float64[Tensor, "#batch *ones"],
    x: Float[Tensor, "batch *shape"],
    b: Float64[Tensor, "#batch *ones"],
    y: Float[Tensor, "batch *shape"],
) -> Float[Tensor, "batch *shape"]:
    """a x + b y, whose factors were worked out in float64, in the precision of x."""
    return a.to(x.dtype) * x + b.to(x.dtype) * y


def _posterior_weights(at: Moment, x0: Tensor, xt: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    left = 1 - at.alpha_bar
    of_x0 = at.alpha_bar_before.sqrt() * at.beta / left
    return of_x0, x0, at.alpha.sqrt() * (1 - at.alpha_bar_before) / left, xt


@runtime_checkable
class Prediction(Protocol):
    """What a network's output is taken for; `at` is a moment of the chain that it was trained on."""

    def target(self, x0: Tensor, noise: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """What the output should be."""
        ...

    def x0(self, output: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """The picture that an output stands for."""
        ...


@dataclass(frozen=True)
class PredictNoise:
    """epsilon: what the paper found best."""

    def target(self, x0: Tensor, noise: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """The noise."""
        return noise

    def x0(self, output: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """What is left of x_t without it."""
        return x0_of_noise(output, xt, at)


@dataclass(frozen=True)
class PredictX0:
    """The picture itself."""

    def target(self, x0: Tensor, noise: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """The picture."""
        return x0

    def x0(self, output: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """The output."""
        return output


@dataclass(frozen=True)
class PredictMean:
    """mu-tilde: the mean of the step back."""

    def target(self, x0: Tensor, noise: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """That for the true picture."""
        return posterior_mean(x0, xt, at)

    def x0(self, output: Tensor, xt: Tensor, at: Moment) -> Tensor:
        """The picture that has this mean."""
        return x0_of_mean(output, xt, at)


@dataclass(frozen=True)
class Process:
    """The chain, and how a network's outputs are read.

    clip: the largest value of a pixel; guesses of the picture are clipped to it (None: they are not). Every sampler of
    pictures in use does so; the paper's algorithm 2 as printed does not.
    """

    schedule: NoiseSchedule
    prediction: Prediction = field(default_factory=PredictNoise)
    clip: float | None = 1.0

    def x0(
        self, output: Float[Tensor, "batch *shape"], xt: Float[Tensor, "batch *shape"], t: Int[Tensor, "#batch"]
    ) -> Float[Tensor, "batch *shape"]:
        """The picture that an output for x_t stands for."""
        guess = self.prediction.x0(output, xt, self.schedule.at(t, xt))
        return guess if self.clip is None else guess.clamp(-self.clip, self.clip)

    def diffuse(
        self, x0: Float[Tensor, "batch *shape"], t: Int[Tensor, "#batch"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "batch *shape"]]:
        """x_t and the noise in it, drawn from `generator` or torch's global one."""
        noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
        return add_noise(x0, noise, self.schedule.at(t, x0)), noise
