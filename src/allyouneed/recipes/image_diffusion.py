"""A denoiser of pictures, trained as DDPM is: for the study, for `allyouneed train`, and as a teacher for others."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from allyouneed.data.images import Images
from allyouneed.diffusion.objectives import Simple
from allyouneed.diffusion.pipeline import Pipeline, save_pipeline
from allyouneed.diffusion.process import Process
from allyouneed.diffusion.schedules import Linear
from allyouneed.models.unet import UNet, UNetConfig
from allyouneed.objectives import Objective
from allyouneed.training import EMA, evaluate, fit

SMALLEST, ATTENDED = 4, 16  # pixels of a side: of the coarsest level, and the largest at which pixels attend
LONGEST_MEMORY = 0.9999  # the paper's decay of the average


def unet_for(shape: tuple[int, int, int], width: int) -> UNetConfig:
    """A U-Net for pictures of (channels, height, width): `width` channels at full size and twice as many below, three
    sizes at most, attention at the coarsest."""
    channels, height, side = shape
    n_levels = 1
    while n_levels < 3 and all(size % 2**n_levels == 0 and size // 2**n_levels >= SMALLEST for size in (height, side)):
        n_levels += 1
    attention = tuple(level == n_levels - 1 and max(height, side) // 2**level <= ATTENDED for level in range(n_levels))
    return UNetConfig(
        height=height,
        width=side,
        in_channels=channels,
        out_channels=channels,
        channels=tuple(width * min(2**level, 2) for level in range(n_levels)),
        down_attention=attention,
        up_attention=attention,
        mid_attention=attention[-1],
    )


def fit_denoiser(
    model: nn.Module,
    objective: Objective,
    images: Images,
    *,
    max_steps: int,
    lr: float,
    batch_size: int,
    seed: int,
    log: Callable[..., object] | None = None,
    dir: Path | None = None,
) -> float:
    """Train a denoiser on the train split; returns the last training loss.

    It ends in evaluation mode, with the average of its weights over the last part of the training, which samples
    better than they do.
    """
    average = EMA(model, decay=min(LONGEST_MEMORY, max(0.0, 1 - 10 / max_steps)))
    result = fit(
        model,
        objective,
        images.train.stream(batch_size, seed=seed),
        max_steps=max_steps,
        lr=lr,
        warmup_steps=max_steps // 20,
        weight_decay=0.0,
        betas=(0.9, 0.99),
        seed=seed,
        after_step=[average.update],
        keep={"average": average},
        log=log,
        log_every=max(1, max_steps // 50),
        dir=dir,
    )
    model.load_state_dict(average.weights())
    model.eval()
    return result.loss


def image_diffusion(run: Any, n_steps: int, width: int, max_steps: int, lr: float, batch_size: int) -> None:
    """A recipe: a trained pipeline on `run.data`, kept in `run.dir` as a folder that `load_pipeline` reads."""
    process = Process(Linear.scaled(n_steps))
    unet = UNet(unet_for(run.data.shape, width), seed=run.seed).to(run.device)
    settings: dict[str, Any] = {"max_steps": max_steps, "lr": lr, "batch_size": batch_size, "seed": run.seed}
    fit_denoiser(unet, Simple(process), run.data, **settings, log=run.log)
    save_pipeline(Pipeline(unet, process, spacing="trailing"), run.dir)


def train(
    images: Images,
    folder: Path,
    *,
    max_steps: int,
    lr: float,
    batch_size: int,
    seed: int,
    device: str,
    log: Callable[..., object],
) -> dict[str, Any]:
    """Train a pipeline of 1000 steps on a user's pictures and write it to `folder`; an interrupted training goes on.

    Returns numbers for people: the loss on train and on the tune split, and the size.
    """
    process = Process(Linear())
    unet = UNet(unet_for(images.shape, width=32), seed=seed).to(device)
    unfinished = folder / "training"
    settings: dict[str, Any] = {"max_steps": max_steps, "lr": lr, "batch_size": batch_size, "seed": seed}
    loss = fit_denoiser(unet, Simple(process), images, **settings, log=log, dir=unfinished)
    tune_loss = evaluate(unet, Simple(process), images.tune.batches(64, limit=1024))
    save_pipeline(Pipeline(unet, process, spacing="trailing"), folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return {"loss": loss, "tune_loss": tune_loss, "parameters": sum(p.numel() for p in unet.parameters())}
