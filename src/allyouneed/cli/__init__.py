"""The command line: one file a command group, each thin: parse, call, print.

Nothing here imports torch, scipy or matplotlib before a command needs them, so that `--help` and
`list` answer at once.
"""

import sys
from typing import Annotated

import typer

from allyouneed import __version__
from allyouneed.cli import (
    align,
    cascade,
    checkpoints,
    data,
    finetune,
    papers,
    predict,
    reading,
    replicate,
    results,
    retrieval,
    run,
    sample,
    train,
)
from allyouneed.errors import UserError

app = typer.Typer(
    name="allyouneed",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Example: allyouneed run rope",
)
run.add_to(app)
replicate.add_to(app)
papers.add_to(app)
reading.add_to(app)
results.add_to(app)
checkpoints.add_to(app)
finetune.add_to(app)
align.add_to(app)
train.add_to(app)
predict.add_to(app)
sample.add_to(app)
cascade.add_to(app)
retrieval.add_to(app)
data.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"allyouneed {__version__}")
        raise typer.Exit


@app.callback()
def allyouneed(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Every LLM paper says that something is all you need. This runs the claim."""


def main() -> None:
    """Run the command line. What a user can mend ends as one line on stderr and exit code 1."""
    try:
        app(prog_name="allyouneed")
    except UserError as error:
        print(f"allyouneed: {error}", file=sys.stderr)
        sys.exit(1)
