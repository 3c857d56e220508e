"""`allyouneed run`: a study, from the command to its verdicts."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allyouneed.cli import options as shared
from allyouneed.cli.printing import console, print_json

if TYPE_CHECKING:
    from allyouneed.lab.options import Options
    from allyouneed.lab.outcome import Outcome


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        epilog="Examples: allyouneed run rope · allyouneed run ./my_study.py --scale smoke · "
        "allyouneed run rope --arm mine=./my_positions.py:MyPositions --set max_steps=400"
    )(run)


def run(
    study: shared.StudyName,
    scale: shared.Scale = "laptop",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds; the scale's own number if left out.")
    ] = None,
    budget: shared.Budget = None,
    claims: shared.Claims = "",
    data: shared.Data = None,
    model: Annotated[Path | None, typer.Option(help="Your checkpoint, for a study that takes one.")] = None,
    queries: Annotated[Path | None, typer.Option(help="Your queries.jsonl, for a study that takes them.")] = None,
    device: shared.Device = "auto",
    jobs: shared.Jobs = None,
    out: shared.Out = Path("runs"),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another value for one of the scale's.")
    ] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arm", metavar="NAME=FILE.py:CLASS", help="A block of yours as one more arm, tuned like the rest."
        ),
    ] = None,
    retune: Annotated[bool, typer.Option("--retune", help="Tune again instead of taking the recorded values.")] = False,
    grid: Annotated[
        list[str] | None, typer.Option(metavar="NAME=A,B,C", help="Values to tune over in place of the study's.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Tune, then write the verdicts to results/.")] = False,
    json: shared.Json = False,
) -> None:
    """Run the study of a paper and judge its claims.

    Finished trials are kept, so after Ctrl-C the same command goes on from there.
    Exit code: 0 whatever the verdicts, 1 if a trial failed; one at a smaller size of the scale is only named.
    """
    inputs = {name: str(path) for name, path in (("model", model), ("queries", queries)) if path is not None}
    if record and (overrides or arms or claims or inputs):
        raise typer.BadParameter(
            "a record is of the whole study: leave out --set, --arm, --claims, --model and --queries",
            param_hint="--record",
        )
    pairs = {"--set": _pairs("--set", overrides), "--arm": _pairs("--arm", arms), "--grid": _pairs("--grid", grid)}

    from allyouneed.lab.engine import Interrupted, run_study
    from allyouneed.lab.options import Options
    from allyouneed.lab.reports.display import make_display

    options = Options(
        reference=study,
        scale=scale,
        seeds=seeds,
        budget=budget,
        claims=shared.claim_ids(claims),
        data=data,
        inputs=inputs,
        device=device,
        jobs=jobs,
        out=out,
        overrides=pairs["--set"],
        arms=pairs["--arm"],
        retune=retune or record,
        grid=pairs["--grid"],
    )
    try:
        outcome = run_study(options, make_display(console(to_stderr=json)))
    except Interrupted as stop:
        print(f"allyouneed: {stop}", file=sys.stderr)
        raise typer.Exit(shared.STOPPED) from None
    _finish(outcome, options, record=record, as_json=json)


def _finish(outcome: "Outcome", options: "Options", *, record: bool, as_json: bool) -> None:
    from allyouneed.lab.reports import report, summary, terminal

    people = console(to_stderr=as_json)
    page = report.write(outcome, summary.command(outcome, options.arms, options.grid, retune=options.retune))
    recorded = _record(outcome, options) if record and not outcome.failed else None
    if as_json:
        print_json(_as_json(outcome, page, recorded))
    else:
        terminal.show(outcome, page, people)
    if recorded is not None:
        people.print(f"recorded in {recorded}", markup=False, soft_wrap=True)
    if outcome.failed:
        if record:
            print("allyouneed: nothing was recorded, because trials failed", file=sys.stderr)
        raise typer.Exit(1)


def _record(outcome: "Outcome", options: "Options") -> Path:
    from allyouneed.lab.fingerprint import fingerprint
    from allyouneed.lab.reports import records

    has_smoke = "smoke" in outcome.study.scales
    return records.record(outcome, fingerprint(options.reference, options.data) if has_smoke else None)


def _as_json(outcome: "Outcome", page: Path, recorded: Path | None) -> dict[str, Any]:
    from allyouneed.lab.reports import saved

    values = saved.to_dict(outcome)
    del values["results"]
    return {"report": str(page), "record": str(recorded) if recorded else None, **values}


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """`["lr=0.1"]` as `{"lr": "0.1"}`; anything else is a usage error."""
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"expected name=value, got {text!r}", param_hint=option)
        pairs[name] = value
    return pairs
