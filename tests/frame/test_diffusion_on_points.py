"""A strange model: DDPM on points in the plane, with an average of the weights, by the room that draws pictures."""

import math

import torch
from torch import nn

from allyouneed.diffusion import Ancestral, Linear, Process, Simple, sample
from allyouneed.diffusion.timesteps import linspace
from allyouneed.training import EMA, fit

N_STEPS = 50
PROCESS = Process(Linear(N_STEPS, 1e-4, 0.2), clip=None)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, xt, t):
        angle = t[:, None] / N_STEPS * math.pi
        return self.net(torch.cat([xt, angle.sin(), angle.cos()], -1))


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


def test_points_return_to_the_ring():
    torch.manual_seed(0)
    model = Denoiser()
    ema = EMA(model, decay=0.98)
    fit(
        model,
        Simple(PROCESS),
        Ring(),
        max_steps=600,
        lr=3e-3,
        weight_decay=0.0,
        after_step=[ema.update],
        keep={"ema": ema},
    )
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(500, 2, generator=generator)
    with ema.applied(model):
        radius = sample(model, noise, Ancestral(PROCESS), linspace(N_STEPS, N_STEPS), generator).norm(dim=-1)
    assert abs(radius.mean() - 2) < 0.15
    assert radius.std() < 0.45  # noise alone has 0.65, and its mean is 1.25
