"""Image classifiers: training one from scratch, and asking one about pictures."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import nn
from torch.nn import functional as F

from allyouneed.blocks import Attention, Learned, LMHead, Patches
from allyouneed.blocks.protocols import PositionsConfig
from allyouneed.data.images import Images, Pictures
from allyouneed.data.images.pixels import Preprocessing, read_picture, scaled
from allyouneed.errors import UserError
from allyouneed.models import VisionConfig, VisionEncoder, evaluation_mode, hub
from allyouneed.models.rollout import rollout_of
from allyouneed.objectives import classify
from allyouneed.training import fit

MOST_PATCHES = 64  # of a picture: what a laptop can train on


def vit_config(
    images: Images,
    *,
    patch: int,
    d_model: int,
    n_layers: int,
    n_heads: int,
    d_ff: int | None = None,
    positions: PositionsConfig | None = None,
) -> VisionConfig:
    """A vision transformer for some images, with learned positions unless others are given.

    Raises UserError for images without at least two classes, ValueError for patches that do not fill them.
    """
    if len(images.classes) < 2:
        one = f"one class only ({images.classes[0]})" if images.classes else "no classes"
        raise UserError(f"{images.name} has {one}: put the pictures of each class into a folder of its name")
    channels, height, width = images.shape
    return VisionConfig(
        vocab_size=len(images.classes),
        classes=images.classes,
        patches=Patches(patch, channels),
        height=height,
        width=width,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        d_ff=d_ff,
        positions=positions or Learned(),
        mixer=Attention(bias=True),
        head=LMHead(bias=True),
    )


def right(model: nn.Module, pictures: Pictures) -> Bool[np.ndarray, "items"]:
    """Whether a model names the class of each picture."""
    device = next(model.parameters()).device
    with evaluation_mode(model), torch.inference_mode():
        said = [model(batch.pixels.to(device)).argmax(1).cpu().numpy() for batch in pictures.batches(256)]
    return np.concatenate(said) == pictures.labels


def majority(pictures: Pictures) -> float:
    """The share of the commonest class: what a guess that looks at no picture gets right."""
    return float(np.bincount(pictures.labels).max() / len(pictures))


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
    """Train a small vision transformer (6 layers of width 96) on a user's pictures and write it, with its
    pre-processing, to `folder`; an interrupted training goes on.

    Returns numbers for people: the accuracy on the tune and the test split, and that of the commonest class.
    """
    channels, height, width = images.shape
    config = vit_config(images, patch=patch_size(images), d_model=96, n_layers=6, n_heads=6)
    model = VisionEncoder(config, seed=seed).to(device)
    unfinished = folder / "training"
    fit(
        model,
        classify,
        images.train.stream(batch_size, seed=seed),
        max_steps=max_steps,
        warmup_steps=max_steps // 10,
        lr=lr,
        seed=seed,
        log=log,
        log_every=max(1, max_steps // 200),
        dir=unfinished,
    )
    hub.save(model, folder)
    Preprocessing(height, width, (0.5,) * channels, (0.5,) * channels).write(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return {
        "tune_accuracy": float(right(model, images.tune).mean()),
        "test_accuracy": float(right(model, images.test).mean()),
        "accuracy_of_the_commonest_class": majority(images.test),
        "test_pictures": len(images.test),
        "classes": len(images.classes),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def patch_size(images: Images) -> int:
    """The smallest patch, from 2 pixels on, that cuts a picture into no more than MOST_PATCHES.

    Raises UserError if there is none.
    """
    _, height, width = images.shape
    for size in range(2, min(height, width) // 2 + 1):
        if not (height % size or width % size) and height * width <= MOST_PATCHES * size**2:
            return size
    raise UserError(
        f"no patches fill pictures of {height} x {width} pixels well: scale them to a size such as 32 (--size 32)"
    )


@dataclass(frozen=True, eq=False)
class Answer:
    """What a classifier says of one picture.

    shares: what its class token has of each place (attention rollout).
    seen: the picture itself as the classifier reads it, scaled.
    """

    probabilities: dict[str, float]
    shares: Float[np.ndarray, "rows columns"]
    seen: UInt8[np.ndarray, "channels height width"]

    def shaded(self) -> UInt8[np.ndarray, "channels height width"]:
        """The picture, the darker the less of a place the class token has."""
        shares = torch.from_numpy(self.shares)[None, None]
        light = F.interpolate(shares, self.seen.shape[1:], mode="bicubic", align_corners=False)[0]
        return (self.seen * (light / light.max()).clamp(0, 1).numpy()).astype(np.uint8)


def ask(folder: str | Path, files: Sequence[Path], device: str = "auto") -> list[Answer]:
    """What the classifier in a checkpoint says of the pictures in some files, the likeliest class first.

    Raises UserError for a checkpoint that is no classifier of pictures, and for a file that is no picture, by its name.
    """
    model = hub.load(folder, device=device)
    if not isinstance(model, VisionEncoder) or not model.config.has_head:
        raise UserError(f"{folder} is no classifier of pictures")
    config, channels = model.config, model.config.patches.channels
    steps = Preprocessing.read(hub.local_folder(folder), channels, config.height, config.width)
    if (steps.height, steps.width) != (config.height, config.width):
        size = f"{config.height} x {config.width}"
        raise UserError(f"{folder} scales pictures to {steps.height} x {steps.width}, but its model reads {size}")
    names = config.classes or tuple(f"class {number}" for number in range(config.vocab_size))
    answers = []
    for file in files:
        picture = read_picture(_content(file), str(file))
        first = next(model.parameters())
        pixels = torch.from_numpy(steps(picture))[None].to(first.device, first.dtype)
        with torch.inference_mode():
            probabilities = model(pixels).float().softmax(1)[0].tolist()
        ranked = sorted(zip(names, probabilities), key=lambda pair: -pair[1])
        shares = rollout_of(model, pixels)[0].float().cpu().numpy()
        answers.append(Answer(dict(ranked), shares, scaled(picture, channels, config.height, config.width)))
    return answers


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
