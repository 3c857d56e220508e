"""`allyouneed predict`: what a classifier sees in pictures, and where it looks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from allyouneed.cli.printing import console, print_json

if TYPE_CHECKING:
    from allyouneed.recipes.image_classifier import Answer

SHOWN = 3  # classes of each picture


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        epilog="Examples: allyouneed predict --model ./vit-tiny cat.jpg dog.jpg · "
        "allyouneed predict --model ./vit-base cat.jpg --rollout where.png"
    )(predict)


def predict(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="Files: PNG, JPEG and the like.")],
    model: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="What `train --model vit-tiny` wrote, or a ViT of transformers.")
    ],
    rollout: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Draw where the classifier looks (attention rollout).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Every class's probability, as JSON on stdout.")] = False,
) -> None:
    """Say how likely each class is for each picture, the likeliest first."""
    from allyouneed.recipes.image_classifier import ask

    answers = ask(model, pictures, device)
    if rollout is not None:
        _draw(answers, rollout)
    if json:
        entries = [{"picture": str(file), "classes": found.probabilities} for file, found in zip(pictures, answers)]
        print_json({"pictures": entries, "rollout": None if rollout is None else str(rollout)})
        return
    table = Table("picture", "class", "probability", box=box.SIMPLE_HEAD, show_edge=False)
    for file, found in zip(pictures, answers):
        for place, (name, probability) in enumerate(list(found.probabilities.items())[:SHOWN]):
            table.add_row(Text(str(file) if place == 0 else ""), Text(name), f"{probability:.3f}")
    console().print(table)
    if rollout is not None:
        print(f"where it looks: {rollout}")


def _draw(answers: "list[Answer]", file: Path) -> None:
    """A row for each picture: as it is read, and dark where the classifier does not look."""
    import numpy as np

    from allyouneed.diffusion.pictures import grid, write_png

    pairs = np.stack([half for found in answers for half in (found.seen, found.shaded())])
    write_png(file, grid(pairs, columns=2), zoom=max(1, 128 // pairs.shape[2]))
