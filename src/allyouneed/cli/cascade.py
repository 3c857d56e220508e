"""`allyouneed cascade`: which models to ask in which order, from logs of their answers; and asking them."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from allyouneed.cli.printing import console, print_json
from allyouneed.errors import UserError

if TYPE_CHECKING:
    from allyouneed.agents.budget import Paths
    from allyouneed.agents.calibration import Calibration
    from allyouneed.clients import Client
    from allyouneed.data.answers import Log

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(no_args_is_help=True, epilog="Example: allyouneed cascade calibrate logs.jsonl --budget 0.002")
    group.command(epilog="Example: allyouneed cascade calibrate logs.jsonl --budget 0.002 --out cascade.json")(
        calibrate
    )
    group.command(
        epilog='Example: allyouneed cascade ask cascade.json "Is gold up?" --client small=local:./small '
        "--client large=openai:gpt-4o-mini --price large=0.00000015,0.0000006"
    )(ask)
    app.add_typer(group, name="cascade", help="Cheap models first: calibrate on logs, then ask.")


def calibrate(
    logs: Annotated[
        Path,
        typer.Argument(
            metavar="LOGS.jsonl",
            help='Lines {"query": ..., "answers": {MODEL: {"text": ..., "cost": ..., "correct": true}}}.',
        ),
    ],
    budget: Annotated[
        float | None, typer.Option(min=0, help="Mean cost of a question at most, in the logs' unit.")
    ] = None,
    accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Or: as cheap as can be at this accuracy.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the cascade is written.")] = Path("cascade.json"),
    folds: Annotated[int, typer.Option(min=2, help="Parts for cross-fitting.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the parts.")] = 0,
    json: Json = False,
) -> None:
    """Find the cascade that is most accurate within a budget, and say what to expect of it on new questions.

    Its scorers learn from the logs which answers are right. What is expected is measured on questions that neither
    the scorers nor the thresholds have seen.
    """
    if (budget is None) == (accuracy is None):
        raise typer.BadParameter("give one of --budget and --accuracy", param_hint="--budget")

    from allyouneed.agents.calibration import calibrate as calibrated
    from allyouneed.agents.calibration import write_rule
    from allyouneed.data.answers.files import read_log

    log = read_log(logs)
    with console(to_stderr=True).status(f"calibrating on {len(log)} questions"):
        found = calibrated(
            log,
            lambda f: f.within(budget) if budget is not None else f.reaching(float(accuracy or 0)),
            n_folds=folds,
            seed=seed,
        )
    summary = _summary(log, found)
    write_rule(out, found.rule, {"logs": logs.name, "questions": len(log), "expected": summary["expected"]})
    if json:
        print_json(summary | {"written": str(out)})
    else:
        _show(summary, out)


def _summary(log: "Log", found: "Calibration") -> dict[str, Any]:
    """All that is told, as JSON values."""
    from allyouneed.agents.bounds import chord, oracle

    right, cost = log.correct.mean(axis=0), log.costs.mean(axis=0)
    expected = _told(found.expected)
    # A mixture cannot cost less than the cheapest model, which a cascade cannot either.
    shares = chord(right, cost, max(expected["cost"], float(cost.min())))
    taken = [float((found.expected.model == k).mean()) for k in range(len(log.models))]
    return {
        "chain": list(found.rule.models),
        "thresholds": list(found.rule.thresholds),
        "expected": expected,
        "on the logs": _told(found.logged.follow(found.chain)),
        "singles": {m: {"accuracy": float(right[k]), "cost": float(cost[k])} for k, m in enumerate(log.models)},
        "mixture": {"accuracy": float(shares @ right), "cost": float(shares @ cost)},
        "oracle": _told(oracle(found.logged)),
        "answered by": {model: share for model, share in zip(log.models, taken) if share},
    }


def _told(paths: "Paths") -> dict[str, float]:
    """Means, and the 95 % interval of the accuracy over questions."""
    from allyouneed.lab.judging.statistics import t_interval

    told = {"accuracy": float(paths.correct.mean()), "cost": float(paths.cost.mean())}
    if len(paths.correct) > 1:
        interval = t_interval(paths.correct.astype(float))
        told |= {"low": max(0.0, interval.low), "high": min(1.0, interval.high)}
    return told


def _show(summary: dict[str, Any], out: Path) -> None:
    people = console()
    names, thresholds = summary["chain"], summary["thresholds"]
    steps = [f"{name} if its score > {threshold:.4f}, else" for name, threshold in zip(names, thresholds)]
    people.print("ask", *steps, names[-1], markup=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for heading in ("", "accuracy", "95 %", "cost a question"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)

    def row(name: str, told: dict[str, float], style: str = "") -> None:
        interval = f"{told['low']:.3f} to {told['high']:.3f}" if "low" in told else ""
        table.add_row(name, f"{told['accuracy']:.3f}", interval, f"{told['cost']:.4g}", style=style)

    row("cascade, expected on new questions", summary["expected"], "bold")
    for model, told in summary["singles"].items():
        row(model, told)
    row("coin between two models, same cost", summary["mixture"])
    row("oracle", summary["oracle"])
    people.print(table)
    people.print(f"written to {out}; ask it by: allyouneed cascade ask {out} QUESTION", markup=False, soft_wrap=True)


def ask(
    cascade: Annotated[Path, typer.Argument(metavar="CASCADE.json", help="What `cascade calibrate` wrote.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="As the logs have their questions.")],
    clients: Annotated[
        list[str] | None,
        typer.Option(
            "--client",
            metavar="NAME=SPEC",
            help="Who answers for a model: local:DIR, openai:MODEL@URL or recorded:FILE. Once for each.",
        ),
    ] = None,
    prices: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="NAME=IN,OUT", help="Its price for a token read and a token written."),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="A text to write on from, not a message.")] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer at most.")] = 256,
    json: Json = False,
) -> None:
    """Ask a calibrated cascade. Keys of endpoints are read from OPENAI_API_KEY in the environment."""
    from allyouneed.agents.calibration import read_rule
    from allyouneed.clients import Metered, Price, Request
    from allyouneed.clients.specs import client

    rule = read_rule(cascade)
    specs, costs = _named("--client", clients), _named("--price", prices)
    for name in (*specs, *costs):
        if name not in rule.models:
            raise UserError(f"the cascade asks {', '.join(rule.models)}; it has no model {name!r}")
    if missing := [name for name in rule.models if name not in specs]:
        raise UserError(f"who answers for {', '.join(missing)}? Give --client {missing[0]}=local:DIR or the like")
    given: dict[str, Client] = {name: client(spec) for name, spec in specs.items()}
    for name, text in costs.items():
        given[name] = Metered(given[name], Price(*_decimals(name, text)))
    prompt = question if plain else ({"role": "user", "content": question},)
    answer = rule.of(given).complete(Request(prompt, max_new_tokens=max_new_tokens))
    if json:
        print_json(answer.to_dict())
        return
    print(answer.text)
    cost = f", cost {answer.cost}" if costs else ""
    tokens = f"{answer.usage.prompt_tokens} tokens read, {answer.usage.completion_tokens} written"
    console(to_stderr=True).print(f"{answer.model} answered ({tokens}{cost})", style="dim", markup=False)


def _named(option: str, pairs: list[str] | None) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs or []]
    for name, equals, value in split:
        if not (name and equals and value):
            raise typer.BadParameter(f"expected NAME=..., got {name + equals + value!r}", param_hint=option)
    return {name: value for name, _, value in split}


def _decimals(name: str, text: str) -> tuple[Decimal, Decimal]:
    try:
        c_in, c_out = (Decimal(part) for part in text.split(","))
        if not (c_in.is_finite() and c_out.is_finite() and min(c_in, c_out) >= 0):
            raise ValueError
    except (InvalidOperation, ValueError):
        raise UserError(
            f"--price {name}={text}: expected two numbers of at least 0, as in {name}=0.001,0.002"
        ) from None
    return c_in, c_out
