"""`allyouneed sample`: pictures from a trained denoiser."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allyouneed.cli.printing import console, print_json
from allyouneed.errors import UserError, require

if TYPE_CHECKING:
    import numpy as np

    from allyouneed.diffusion.pipeline import Pipeline
    from allyouneed.diffusion.sampling import Sampler

AT_ONCE = 64  # pictures in one batch
COLUMNS = 10  # of a strip: looks at the way from noise to a picture
STRIPS = 8  # pictures whose way is shown, at most


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        epilog="Examples: allyouneed sample --model ./my_ddpm --n 16 --out digits.png · "
        "allyouneed sample --model ./ddpm-cifar10-32 --sampler ddim --steps 50 --out pictures/ --strip"
    )(sample)


def sample(
    model: Annotated[
        Path, typer.Option(metavar="DIR", help="What `train --model ddpm` wrote, or a DDPM pipeline of diffusers.")
    ],
    n: Annotated[int, typer.Option(min=1, help="Pictures to draw.")] = 16,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to take; all of the chain's if left out.")] = None,
    sampler: Annotated[str, typer.Option(help="ddpm, or ddim, which needs fewer steps.")] = "ddpm",
    eta: Annotated[float, typer.Option(min=0, max=1, help="Of ddim: 0 adds no noise on the way, 1 all.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    out: Annotated[
        Path, typer.Option(metavar="FILE.png|DIR", help="A grid of all pictures, or a folder with each and the grid.")
    ] = Path("samples.png"),
    strip: Annotated[bool, typer.Option("--strip", help="Show the way from noise to picture, too.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Files and seconds as JSON on stdout.")] = False,
) -> None:
    """Draw pictures with a trained denoiser and write them as PNG files."""
    from allyouneed.diffusion.pictures import grid, write_png
    from allyouneed.diffusion.pipeline import load_pipeline
    from allyouneed.models.hub import device_named

    require("PIL.Image", "images")  # now, and not after the drawing
    pipeline = load_pipeline(model, device_named(device))
    method = _sampler(pipeline, sampler, eta)
    try:
        timesteps = pipeline.timesteps(steps)
    except ValueError as error:  # more than the chain has
        raise UserError(f"--steps {steps}: {error}") from error
    started = time.perf_counter()
    pictures, way = _draw(pipeline, n, method, timesteps, seed, quiet=json)
    seconds = time.perf_counter() - started
    zoom = max(1, 64 // pictures.shape[2])
    folder = out.suffix.lower() != ".png"
    sheet = out / "grid.png" if folder else out
    files = [sheet]
    write_png(sheet, grid(pictures), zoom)
    if folder:
        for number, picture in enumerate(pictures):
            files.append(out / f"{number:0{len(str(n - 1))}d}.png")
            write_png(files[-1], picture)
    if strip:
        files.append(out / "strip.png" if folder else out.with_name(f"{out.stem}-strip.png"))
        write_png(files[-1], grid(way, columns=len(way) // min(n, STRIPS)), zoom)
    if json:
        print_json({"files": [str(file) for file in files], "steps": len(timesteps), "seconds": seconds})
        return
    said = f"{n} pictures of {pictures.shape[2]} x {pictures.shape[3]} in {len(timesteps)} steps, {seconds:.1f} s"
    print(f"{said}: {', '.join(str(file) for file in files[:1] + files[len(files) - strip :])}")


def _draw(
    pipeline: "Pipeline", n: int, method: "Sampler", timesteps: list[int], seed: int, quiet: bool
) -> tuple["np.ndarray", "np.ndarray"]:
    """The pictures as bytes, and the way of the first few: for each its looks from noise on, one after another."""
    import numpy as np
    import torch
    from rich.progress import Progress

    from allyouneed.diffusion.pictures import as_bytes

    generator = torch.Generator(pipeline.unet.conv_in.weight.device).manual_seed(seed)
    looks = np.linspace(0, len(timesteps) - 1, min(COLUMNS, len(timesteps))).round().astype(int)
    pictures: list[Any] = []
    way: list[Any] = []
    with Progress(console=console(to_stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("drawing", total=len(timesteps) * -(-n // AT_ONCE))
        for first in range(0, n, AT_ONCE):
            for index, stage in enumerate(pipeline.draw(min(AT_ONCE, n - first), method, timesteps, generator)):
                progress.advance(task)
                if first == 0 and index in looks:
                    way.append(as_bytes(stage.x[:STRIPS]))
            pictures.append(as_bytes(stage.x))
    return np.concatenate(pictures), np.stack(way, axis=1).reshape(-1, *pictures[0].shape[1:])


def _sampler(pipeline: "Pipeline", name: str, eta: float) -> "Sampler":
    from allyouneed.diffusion import DDIM, Ancestral

    if name == "ddpm":
        return Ancestral(pipeline.process, pipeline.variance)
    if name == "ddim":
        return DDIM(pipeline.process, eta)
    raise typer.BadParameter(f"{name!r} is neither ddpm nor ddim", param_hint="--sampler")
