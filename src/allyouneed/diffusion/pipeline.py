"""A trained denoiser with all that sampling needs to know, as a folder in diffusers' format (its DDPMPipeline):

model_index.json                    what the parts are
scheduler/scheduler_config.json     the process
unet/                               config.json and weights: see `models.unet_checkpoint`
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from allyouneed.data.cache import atomic_write
from allyouneed.diffusion.process import (
    Prediction,
    PredictNoise,
    PredictX0,
    Process,
    Variance,
    fixed_large,
    fixed_small,
)
from allyouneed.diffusion.sampling import Sampler, Stage, trajectory
from allyouneed.diffusion.schedules import Cosine, Linear, Listed, NoiseSchedule
from allyouneed.diffusion.timesteps import SPACINGS
from allyouneed.errors import UserError
from allyouneed.models.family import only
from allyouneed.models.hub import read_json
from allyouneed.models.modes import evaluation_mode
from allyouneed.models.unet import UNet
from allyouneed.models.unet_checkpoint import load_unet, save_unet

INDEX = "model_index.json"
SCHEDULER = "scheduler_config.json"
PREDICTIONS: dict[str, Prediction] = {"epsilon": PredictNoise(), "sample": PredictX0()}
VARIANCES: dict[str, Variance] = {"fixed_small": fixed_small, "fixed_large": fixed_large}
CLASSES = {"scheduler": ("DDPMScheduler", "DDIMScheduler"), "unet": ("UNet2DModel",)}
PLAIN = {  # keys that say what is not varied here, and the values that say so
    "rescale_betas_zero_snr": (False,),
    "set_alpha_to_one": (True,),
    "steps_offset": (0,),
    "thresholding": (False,),
}


@dataclass
class Pipeline:
    """variance: of ancestral sampling. spacing: which steps are visited when there are fewer (see `timesteps`)."""

    unet: UNet
    process: Process = field(default_factory=lambda: Process(Linear()))
    variance: Variance = fixed_small
    spacing: str = "leading"

    def timesteps(self, n_steps: int | None = None) -> list[int]:
        """The steps to visit; all of them unless told how many. Raises ValueError for more than there are."""
        n_train = self.process.schedule.n_steps
        return SPACINGS[self.spacing](n_train, n_train if n_steps is None else n_steps)

    def draw(self, n: int, sampler: Sampler, timesteps: list[int], generator: torch.Generator) -> Iterator[Stage]:
        """The way from noise to `n` pictures of -1..1, stage by stage.

        generator: on the U-Net's device. Its numbers are drawn in the order in which diffusers draws them, so that
        the same pictures come from it.
        """
        config, weight = self.unet.config, self.unet.conv_in.weight
        shape = (n, config.in_channels, config.height, config.width)
        noise = torch.randn(shape, generator=generator, dtype=weight.dtype, device=weight.device)
        with evaluation_mode(self.unet):
            yield from trajectory(self.unet, noise, sampler, timesteps, generator)


def save_pipeline(pipeline: Pipeline, folder: Path) -> None:
    """Write the folder; `model_index.json` comes last, so that a folder with it is whole.

    Raises UserError for a process that the format has no words for, and if the disk refuses.
    """
    scheduler = _scheduler(pipeline)
    (folder / INDEX).unlink(missing_ok=True)
    save_unet(pipeline.unet, folder / "unet")
    atomic_write(folder / "scheduler" / SCHEDULER, _json(scheduler))
    parts = {name: ["diffusers", classes[0]] for name, classes in CLASSES.items()}
    atomic_write(folder / INDEX, _json({"_class_name": "DDPMPipeline"} | parts))


def load_pipeline(folder: Path, device: str = "cpu") -> Pipeline:
    """The pipeline in a folder. Raises UserError, with the name of what is wrong, if it is none that is known here."""
    if not (folder / INDEX).is_file():
        reason = f"it has no {INDEX}" if folder.is_dir() else "there is no such folder"
        raise UserError(f"{folder} is not the folder of a diffusion pipeline: {reason}")
    index = read_json(folder / INDEX)
    for part, classes in CLASSES.items():
        named = index.get(part)
        if not isinstance(named, list) or named[-1] not in classes:
            raise UserError(f"{folder / INDEX} says {part} = {named!r}; supported: {', '.join(classes)}")
    file = _part(folder, "scheduler") / SCHEDULER
    raw = read_json(file)
    try:
        pipeline = _read(raw)
    except (UserError, ValueError, TypeError) as error:
        raise UserError(f"{file}: {error}") from error
    return Pipeline(load_unet(_part(folder, "unet"), device), **pipeline)


def _part(folder: Path, name: str) -> Path:
    """Where a part lies: in a folder of its own, or (in the first pipelines) beside the index."""
    return folder / name if (folder / name).is_dir() else folder


def _read(raw: dict[str, Any]) -> dict[str, Any]:
    for key, values in PLAIN.items():
        only(raw, key, *values)
    only(raw, "prediction_type", *PREDICTIONS)
    only(raw, "variance_type", *VARIANCES)
    only(raw, "timestep_spacing", *SPACINGS)
    clip = raw.get("clip_sample_range", 1.0) if raw.get("clip_sample", True) else None
    return {
        "process": Process(_schedule(raw), PREDICTIONS[raw.get("prediction_type", "epsilon")], clip),
        "variance": VARIANCES[raw.get("variance_type", "fixed_small")],
        "spacing": raw.get("timestep_spacing", "leading"),
    }


def _schedule(raw: dict[str, Any]) -> NoiseSchedule:
    n_steps = raw.get("num_train_timesteps", 1000)
    if raw.get("trained_betas") is not None:
        return Listed(n_steps, tuple(raw["trained_betas"]))
    only(raw, "beta_schedule", "linear", "squaredcos_cap_v2")
    if raw.get("beta_schedule") == "squaredcos_cap_v2":
        return Cosine(n_steps)
    return Linear(n_steps, raw.get("beta_start", 1e-4), raw.get("beta_end", 0.02))


def _scheduler(pipeline: Pipeline) -> dict[str, Any]:
    process = pipeline.process
    predictions = {prediction: name for name, prediction in PREDICTIONS.items()}
    if process.prediction not in predictions:
        raise UserError(f"the format has no word for {process.prediction}; it has {', '.join(PREDICTIONS)}")
    variances = {variance: name for name, variance in VARIANCES.items()}
    return {
        "_class_name": "DDPMScheduler",
        "clip_sample": process.clip is not None,
        "clip_sample_range": process.clip or 1.0,
        "num_train_timesteps": process.schedule.n_steps,
        "prediction_type": predictions[process.prediction],
        "timestep_spacing": pipeline.spacing,
        "variance_type": variances[pipeline.variance],
        **_words(process.schedule),
    }


def _words(schedule: NoiseSchedule) -> dict[str, Any]:
    """The schedule by its name; betas one by one where the format has none."""
    if isinstance(schedule, Linear):
        return {"beta_schedule": "linear", "beta_start": schedule.beta_start, "beta_end": schedule.beta_end}
    if schedule == Cosine(schedule.n_steps):
        return {"beta_schedule": "squaredcos_cap_v2"}
    return {"trained_betas": schedule.betas.tolist()}


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()
