"""What the commands that run trials have in common: each option's type and help, once."""

from pathlib import Path
from typing import Annotated

import typer

STOPPED = 130  # the exit code that a shell expects of a command that Ctrl-C ended

StudyName = Annotated[
    str, typer.Argument(metavar="SLUG_OR_FILE", help="A paper (see `list`) or a study file of yours.")
]
Scale = Annotated[str, typer.Option(help="How big: smoke, laptop or gpu.")]
Budget = Annotated[
    str | None, typer.Option(metavar="8h", help="As many seeds as fit into this time: 8h, 30m, 2h30m, 90s.")
]
Claims = Annotated[str, typer.Option(metavar="C1,C2", help="Only these claims, and the trials they need.")]
Data = Annotated[str | None, typer.Option(help="Other data: a name from `data list`, or a text file or folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Trials at once; a thread each on a CPU.")]
Out = Annotated[Path, typer.Option(help="Where trials and reports are kept.")]
Json = Annotated[bool, typer.Option("--json", help="Verdicts as JSON on stdout, progress on stderr.")]


def claim_ids(text: str) -> tuple[str, ...]:
    """`C1, C2` as `("C1", "C2")`."""
    return tuple(claim.strip() for claim in text.split(",") if claim.strip())
