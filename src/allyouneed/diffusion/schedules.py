"""Noise schedules: how much of a picture is left after each step of its destruction.

A schedule is a frozen object that gives `alphas_cumprod`, in float64 whatever the model's precision: at its noisy end
1 - alphas_cumprod is all that is left of a difference between numbers close to 1. Formulas ask for a `Moment`: one
step t with the one that a sampler goes to from there.

| here                  | DDPM           | meaning                                                |
| --------------------- | -------------- | ------------------------------------------------------ |
| `n_steps`             | T              | steps of the chain; t counts from 0 here, from 1 there |
| `betas[t]`            | beta_t         | variance that step t adds                              |
| `alphas_cumprod[t]`   | alpha-bar_t    | share of the data's variance after step t              |
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float64, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moment:
    """A step t and the one before it, shaped to multiply a batch: (1, 1, ...) or (batch, 1, ...).

    "Before" is in the sense of the chain: nearer to the data. A sampler that leaves steps out goes further back.
    """

    alpha_bar: Float64[Tensor, "#batch *ones"]
    alpha_bar_before: Float64[Tensor, "#batch *ones"]

    @property
    def alpha(self) -> Float64[Tensor, "#batch *ones"]:
        """alpha_t = 1 - beta_t: what the step leaves of the variance."""
        return self.alpha_bar / self.alpha_bar_before

    @property
    def beta(self) -> Float64[Tensor, "#batch *ones"]:
        """beta_t: the variance that the step adds."""
        return 1 - self.alpha

    @property
    def posterior_variance(self) -> Float64[Tensor, "#batch *ones"]:
        """beta-tilde_t, the variance of x_before given x_t and x_0 (DDPM, equation 7); 0 where before is the data."""
        return (1 - self.alpha_bar_before) / (1 - self.alpha_bar) * self.beta


@dataclass(frozen=True)
class NoiseSchedule:
    """A schedule of `n_steps` steps; a subclass says by `betas` how much noise each adds."""

    n_steps: int

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise ValueError(f"a schedule needs at least 1 step, got {self.n_steps}")
        if not bool(((self.betas > 0) & (self.betas < 1)).all()):
            raise ValueError(f"every beta must lie between 0 and 1; those of {self} do not")

    @property
    def betas(self) -> Float64[Tensor, "n_steps"]:
        """The variance that each step adds."""
        raise NotImplementedError

    @cached_property
    def alphas_cumprod(self) -> Float64[Tensor, "n_steps"]:
        """The share of the data's variance that is left after each step."""
        return (1 - self.betas).cumprod(0)

    def at(self, t: Int[Tensor, "#batch"], like: Tensor, before: Int[Tensor, "#batch"] | None = None) -> Moment:
        """The moment t for the rows of `like`. before: the step that follows in sampling, t - 1 unless given; -1 is
        the data."""
        levels = torch.cat((self.alphas_cumprod, torch.ones(1, dtype=torch.float64))).to(t.device)  # -1: no noise
        ones = (-1,) + (1,) * (like.ndim - 1)
        return Moment(levels[t].view(ones), levels[t - 1 if before is None else before].view(ones))


@dataclass(frozen=True)
class Linear(NoiseSchedule):
    """Betas that rise evenly, as DDPM's do over 1000 steps (section 4).

    Fewer steps need larger betas, or noise is never reached: `Linear.scaled(200)` destroys as much in 200 steps.
    """

    n_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    @classmethod
    def scaled(cls, n_steps: int) -> "Linear":
        """The betas of 1000 steps times 1000 / n_steps (Nichol and Dhariwal, arXiv:2102.09672, their code's)."""
        return cls(n_steps, 0.1 / n_steps, 20 / n_steps)

    @property
    def betas(self) -> Float64[Tensor, "n_steps"]:
        """From `beta_start` to `beta_end`."""
        return torch.linspace(self.beta_start, self.beta_end, self.n_steps, dtype=torch.float64)


@dataclass(frozen=True)
class Cosine(NoiseSchedule):
    """alphas_cumprod falls as a squared cosine (Nichol and Dhariwal, arXiv:2102.09672, equation 17); no beta exceeds
    `largest`."""

    n_steps: int = 1000
    offset: float = 0.008
    largest: float = 0.999

    @property
    def betas(self) -> Float64[Tensor, "n_steps"]:
        """One less the ratio of neighbours, in which the share at the start cancels."""
        done = torch.linspace(0, 1, self.n_steps + 1, dtype=torch.float64)
        left = torch.cos((done + self.offset) / (1 + self.offset) * math.pi / 2) ** 2
        return (1 - left[1:] / left[:-1]).clamp(max=self.largest)


@dataclass(frozen=True)
class Listed(NoiseSchedule):
    """Betas as they are given."""

    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Float64[Tensor, "n_steps"]) -> "Listed":
        """A schedule with these betas."""
        return cls(len(values), tuple(values.tolist()))

    @property
    def betas(self) -> Float64[Tensor, "n_steps"]:
        """The values. Raises ValueError unless there are `n_steps`."""
        if len(self.values) != self.n_steps:
            raise ValueError(f"{self.n_steps} steps need as many betas, got {len(self.values)}")
        return torch.tensor(self.values, dtype=torch.float64)
