"""What a denoiser is trained on: a random step of each picture, and how far the answer is off.

DDPM, arXiv:2006.11239: `Simple` is equation 14, `TrueBound` equation 5. Noise and steps come from torch's global
generator, which `fit` seeds and saves.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.data.images.batches import ImageBatch
from allyouneed.diffusion.bound import Bound
from allyouneed.diffusion.process import Process
from allyouneed.diffusion.sampling import Denoise
from allyouneed.objectives import Loss

Batch = ImageBatch | Float[Tensor, "batch *shape"]


@dataclass(frozen=True)
class Simple:
    """Mean squared error of what is predicted, every step weighing the same."""

    process: Process

    def __call__(self, model: Denoise, batch: Batch) -> Loss:
        """Over all elements of the batch."""
        x0 = _data(batch)
        t = _steps(self.process, x0)
        xt, noise = self.process.diffuse(x0, t)
        target = self.process.prediction.target(x0, noise, xt, self.process.schedule.at(t, x0))
        return Loss((model(xt, t) - target).square().sum(), target.numel())


@dataclass(frozen=True)
class TrueBound:
    """The variational bound in nats per element, less L_T, which nothing can be learned from.

    One step a picture stands for all: its term is multiplied by their number. Guesses are not clipped here, which
    would take the gradient from those that need it.
    """

    bound: Bound

    def __call__(self, model: Denoise, batch: Batch) -> Loss:
        """Over all elements of the batch."""
        x0, bound = _data(batch), replace(self.bound, process=replace(self.bound.process, clip=None))
        t = _steps(bound.process, x0)
        xt, _ = bound.process.diffuse(x0, t)
        return Loss(bound.term(model(xt, t), x0, xt, t).sum() * bound.process.schedule.n_steps, x0.numel())


def _data(batch: Batch) -> Float[Tensor, "batch *shape"]:
    return batch if isinstance(batch, Tensor) else batch.pixels


def _steps(process: Process, x0: Tensor) -> Int[Tensor, "batch"]:
    return torch.randint(process.schedule.n_steps, (len(x0),), device=x0.device)
