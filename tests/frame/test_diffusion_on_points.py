"""A strange model: DDPM on points in the plane, with an average of the weights, sampled by a callable."""

import math

import torch
from torch import nn

from allyouneed.objectives import Loss
from allyouneed.training import EMA, fit

N_STEPS = 50
ALPHAS_CUMPROD = torch.cumprod(1 - torch.linspace(1e-4, 0.2, N_STEPS), 0)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, xt, t):
        angle = t[:, None] / N_STEPS * math.pi
        return self.net(torch.cat([xt, angle.sin(), angle.cos()], -1))


def predict_noise(model, x0):
    t = torch.randint(N_STEPS, (len(x0),))
    noise = torch.randn_like(x0)
    alpha = ALPHAS_CUMPROD[t][:, None]
    error = model(alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise, t.float()) - noise
    return Loss(error.square().sum(), error.numel())


class Ring:
    """Points on a circle of radius 2; drawn from the global generator, which `fit` seeds and saves."""

    def __iter__(self):
        return self

    def __next__(self):
        angle = torch.rand(256) * 2 * math.pi
        return 2 * torch.stack([angle.cos(), angle.sin()], -1)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@torch.no_grad()
def sample(denoise, n_points, seed):
    """Ancestral sampling with any `denoise(xt, t) -> noise`."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_points, 2, generator=generator)
    for t in reversed(range(N_STEPS)):
        before = ALPHAS_CUMPROD[t - 1] if t else torch.tensor(1.0)
        alpha = ALPHAS_CUMPROD[t] / before
        noise = denoise(x, torch.full((n_points,), float(t)))
        x = (x - (1 - alpha) / (1 - ALPHAS_CUMPROD[t]).sqrt() * noise) / alpha.sqrt()
        x = x + ((1 - alpha) * (1 - before) / (1 - ALPHAS_CUMPROD[t])).sqrt() * torch.randn(
            n_points, 2, generator=generator
        )
    return x


def test_points_return_to_the_ring():
    torch.manual_seed(0)
    model = Denoiser()
    ema = EMA(model, decay=0.98)
    fit(
        model,
        predict_noise,
        Ring(),
        max_steps=600,
        lr=3e-3,
        weight_decay=0.0,
        after_step=[ema.update],
        keep={"ema": ema},
    )
    with ema.applied(model):
        radius = sample(model, 500, seed=1).norm(dim=-1)
    assert abs(radius.mean() - 2) < 0.15
    assert radius.std() < 0.45  # noise alone has 0.65, and its mean is 1.25


def test_the_sampler_takes_any_callable():
    # A cloud of deviation 0.5 has a closed-form noise estimate, and every step of the sampler is linear in x:
    # the deviation it ends with follows by hand, and must be what the sampler gives.
    def exact(xt, t):
        return xt * slope(ALPHAS_CUMPROD[t.long()])[:, None]

    def slope(alpha):
        return (1 - alpha).sqrt() / (alpha * 0.25 + 1 - alpha)

    variance = torch.tensor(1.0)
    for t in reversed(range(N_STEPS)):
        before = ALPHAS_CUMPROD[t - 1] if t else torch.tensor(1.0)
        alpha, left = ALPHAS_CUMPROD[t] / before, 1 - ALPHAS_CUMPROD[t]
        factor = (1 - (1 - alpha) / left.sqrt() * slope(ALPHAS_CUMPROD[t])) / alpha.sqrt()
        variance = factor**2 * variance + (1 - alpha) * (1 - before) / left
    deviation = sample(exact, 20_000, seed=0).std()
    assert abs(deviation / variance.sqrt() - 1) < 0.02  # 5 standard errors of 40,000 numbers
