"""`allyouneed train`: a model from scratch, on pictures of the user's own."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from allyouneed.cli.options import STOPPED
from allyouneed.cli.printing import console, json_numbers, print_json
from allyouneed.errors import UserError

if TYPE_CHECKING:
    from allyouneed.data.images import Images


class Trainer(NamedTuple):
    """What trains a model: "module:function", called as
    `train(images, folder, *, max_steps, lr, batch_size, seed, device, log) -> dict of results`.

    max_steps, lr: those of a user who names none. then: the next command, with the folder in it.
    """

    function: str
    max_steps: int
    lr: float
    then: str


TRAINERS = {
    "vit-tiny": Trainer(
        "allyouneed.recipes.image_classifier:train", 2000, 1e-3, "allyouneed predict --model {folder} PICTURE"
    ),
    "ddpm": Trainer("allyouneed.recipes.image_diffusion:train", 2000, 2e-3, "allyouneed sample --model {folder}"),
}


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        epilog="Examples: allyouneed train --model vit-tiny --data my_pictures/ --size 32 · "
        "allyouneed train --model ddpm --data digits --steps 4000 --out my_ddpm"
    )(train)


def train(
    model: Annotated[str, typer.Option(metavar="NAME", help=f"What to train: {', '.join(TRAINERS)}.")],
    data: Annotated[str, typer.Option(metavar="FOLDER", help="A folder of class folders, or a name from `data list`.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Updates; the model's own number if left out.")] = None,
    lr: Annotated[float | None, typer.Option(min=0, help="Highest learning rate; the model's own if left out.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures in an update.")] = 64,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side in pixels of the square that a folder's pictures are scaled to.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write to; ./NAME if left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Results as JSON on stdout, progress on stderr.")] = False,
) -> None:
    """Train a model from scratch and write it in Hugging Face's format.

    A classifier takes each subfolder as a class. Fifteen of a hundred pictures are held out to test it, and as many to
    tune. After Ctrl-C the same command goes on from there.
    """
    if model not in TRAINERS:
        raise typer.BadParameter(f"{model!r} is not one of {', '.join(TRAINERS)}", param_hint="--model")
    images, trainer, folder = _images(data, size), TRAINERS[model], out or Path(model)

    from allyouneed.models.hub import device_named

    module, _, function = trainer.function.partition(":")
    max_steps, started = steps or trainer.max_steps, time.perf_counter()
    try:
        with _progress(max_steps, quiet=json) as log:
            results = getattr(import_module(module), function)(
                images,
                folder,
                max_steps=max_steps,
                lr=trainer.lr if lr is None else lr,
                batch_size=batch_size,
                seed=seed,
                device=device_named(device),
                log=log,
            )
    except KeyboardInterrupt:
        print("allyouneed: stopped; the same command goes on from there", file=sys.stderr)
        raise typer.Exit(STOPPED) from None
    then = trainer.then.format(folder=folder)
    if json:
        seconds = time.perf_counter() - started
        print_json(json_numbers({"folder": str(folder), **results, "seconds": seconds, "next": then}))
        return
    for name, value in results.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value
        print(f"{name.replace('_', ' ')}: {shown}")
    print(f"written to {folder}\nnext: {then}")


def _images(data: str, size: int | None) -> "Images":
    if size is None:
        from allyouneed.data import open_data

        return open_data(data, "images")
    if not Path(data).expanduser().is_dir():
        raise UserError(f"--size scales the pictures of a folder, and {data} is none")
    from allyouneed.data.images.files import image_folder

    return image_folder(Path(data).expanduser(), size)


@contextmanager
def _progress(max_steps: int, *, quiet: bool) -> Iterator[Callable[..., None]]:
    """A bar on standard error, if it is a terminal; what is yielded takes what `fit` logs."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    people = console(to_stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=people, transient=True, disable=quiet or not people.is_terminal) as bars:
        task = bars.add_task("training", total=max_steps)

        def log(step: int, loss: float, **others: Any) -> None:
            bars.update(task, completed=step, description=f"loss {loss:.3f}")

        yield log
