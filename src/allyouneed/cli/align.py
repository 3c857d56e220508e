"""`allyouneed dpo`: a checkpoint learns which of two answers people prefer."""

import json as encoder
import math
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from allyouneed.cli.options import STOPPED
from allyouneed.cli.printing import console, print_json
from allyouneed.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from allyouneed.alignment.aligning import Job, Judged
    from allyouneed.data.preferences.batches import Fitted
    from allyouneed.models import Decoder

LR = {"lora": 5e-5, "full": 1e-6}

LossName = Literal["sigmoid", "sigmoid_norm", "ipo", "hinge", "robust", "apo_zero"]
Method = Literal["lora", "full"]


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        epilog="Examples: allyouneed dpo --model ./llama --data pairs.jsonl --dry-run · "
        "allyouneed dpo --model ./llama --data pairs.jsonl --beta 0.1 --out ./aligned"
    )(dpo)


def dpo(
    model: Annotated[
        str,
        typer.Option(metavar="DIR_OR_HUB_ID", help="The checkpoint: where it starts, and what it is compared with."),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE.jsonl", help='Lines {"prompt": ..., "chosen": ..., "rejected": ...}; texts or messages.'
        ),
    ],
    beta: Annotated[
        float, typer.Option(min=1e-6, help="What it costs to leave the reference: smaller goes further.")
    ] = 0.1,
    loss: Annotated[
        LossName, typer.Option(help="sigmoid is DPO; ipo and sigmoid_norm look at means over the tokens.")
    ] = "sigmoid",
    method: Annotated[
        Method, typer.Option(help="lora trains small parts beside the weights; full all weights.")
    ] = "lora",
    rank: Annotated[int, typer.Option(min=1, help="LoRA: of the updates.")] = 8,
    lr: Annotated[float | None, typer.Option(min=0, help="Learning rate: 5e-5 for lora, 1e-6 for full.")] = None,
    epochs: Annotated[float, typer.Option(min=0, help="How often each pair is seen.")] = 1.0,
    steps: Annotated[int | None, typer.Option(min=1, help="In place of epochs.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs in a step.")] = 16,
    micro_batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pairs at a time: less memory, the same result.")
    ] = None,
    max_len: Annotated[
        int, typer.Option(min=2, help="Tokens of prompt and answer; longer prompts lose their beginning.")
    ] = 1024,
    out: Annotated[Path, typer.Option(help="The folder for the adapter or model, and the outcome.")] = Path("aligned"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would need.")] = False,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16; that of the files if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the start of the adapter and of the order of the pairs.")] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Plan and outcome as JSON on stdout, progress on stderr.")
    ] = False,
) -> None:
    """Teach a checkpoint which answers are preferred, by DPO or one of its relatives, without a reward model.

    A tenth of the pairs is held out, to say how many of them it tells apart. Answers are never cut: what does not fit
    is named before anything is trained. After Ctrl-C the same command goes on.
    """
    from allyouneed.alignment import aligning
    from allyouneed.data.preferences.batches import encode_texts
    from allyouneed.data.preferences.files import read_preferences
    from allyouneed.models import hub

    people = console(to_stderr=json)
    try:
        parts = aligning.hold_out_pairs(read_preferences(data))
        tokenizer, policy = hub.tokenizer(model), _decoder(model, dtype, device)
        longest = min(max_len, policy.config.max_seq_len)
        (train, fitted), (held_out, _) = (encode_texts(part, tokenizer, longest) for part in parts)
        lora = _adapted(policy, rank, seed) if method == "lora" else None
        n_steps = steps or max(1, math.ceil(epochs * len(train) / batch_size))
        settings = aligning.Settings(
            lora, lr or LR[method], n_steps, batch_size, micro_batch_size, seed, loss=loss, beta=beta
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    job = aligning.Job(policy, settings, train, held_out)
    facts = {"model": model, "data": str(data), "loss": loss, "beta": beta, "method": method}
    facts |= _plan(job, fitted, longest, people)
    if not dry_run:
        before, after = _align(job, out / "training", people)
        commands = _save(job, model, out, bool(tokenizer.chat_templates))
        facts |= aligning.facts_of(before, after) | {"next": commands}
        _tell(before, after, commands, people)
        _write(out, facts)
        shutil.rmtree(out / "training", ignore_errors=True)
    if json:
        print_json(facts)


def _decoder(source: str, dtype: str | None, device: str) -> "Decoder":
    from allyouneed.models import Decoder, hub

    model = hub.writer(source, dtype, device)
    if not isinstance(model, Decoder):
        raise UserError(f"{source} reads a source and writes a target; preferences are learned by decoders")
    return model


def _adapted(model: "Decoder", rank: int, seed: int) -> Any:
    from allyouneed.adaptation import ALL_LINEAR, Lora, add_adapter

    lora = Lora(rank=rank, alpha=rank, targets=ALL_LINEAR)
    add_adapter(model, lora, seed=seed)
    return lora


def _plan(job: "Job", fitted: "Fitted", longest: int, people: "Console") -> dict[str, Any]:
    """Say what will be trained on what. Raises UserError if it needs more memory than there is."""
    from allyouneed.adaptation.memory import available, memory

    needed, free = memory(job.training), available(job.model.embedding.weight.device)
    facts: dict[str, Any] = {
        "pairs": len(job.train),
        "held out": len(job.held_out),
        "prompts cut": fitted.n_cut,
        "left out": fitted.n_left_out,
        "steps": job.settings.max_steps,
        "trained weights": needed.n_trained,
        "memory (GB)": round(needed.total / 1e9, 3),
        "lr": job.settings.lr,
    }
    _print(facts, people)
    if fitted.n_cut or fitted.n_left_out:
        people.print(
            f"{fitted.n_cut} prompts lost their beginning and {fitted.n_left_out} pairs are left out: they are longer "
            f"than {longest} tokens. The longest has {fitted.longest}.",
            style="yellow",
        )
    if free is not None and needed.total > free:
        raise UserError(
            f"this needs about {needed.total / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free: take a smaller "
            "--micro-batch-size or --max-len, or --method lora"
        )
    return facts


def _align(job: "Job", folder: Path, people: "Console") -> "tuple[Judged, Judged]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from allyouneed.alignment.aligning import align

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("loss {task.fields[loss]:.3f}"), console=people) as progress:
        task = progress.add_task("", total=job.settings.max_steps, loss=math.nan)
        try:
            return align(job, folder, lambda **row: progress.update(task, completed=row["step"], loss=row["loss"]))
        except KeyboardInterrupt:
            print("allyouneed: stopped; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(STOPPED) from None


def _save(job: "Job", source: str, out: Path, is_chat: bool) -> list[str]:
    """Write what was trained; returns the commands that use it."""
    from allyouneed.adaptation import save_adapter
    from allyouneed.models import hub

    ask = f"{'--chat ' if is_chat else ''}'...'"
    if job.settings.lora is None:
        hub.save(job.model, out)
        hub.copy_beside(source, out)
        return [f"allyouneed generate {shlex.quote(str(out))} {ask}"]
    save_adapter(job.model, out, base=str(Path(source).resolve()) if Path(source).is_dir() else source)
    merged = shlex.quote(f"{out}-merged")
    return [f"allyouneed merge {shlex.quote(str(out))} --out {merged}", f"allyouneed generate {merged} {ask}"]


def _tell(before: "Judged", after: "Judged", commands: list[str], people: "Console") -> None:
    facts = {
        "told apart": f"{after.told_apart:.1%} of the held-out pairs; the shorter answer would be right in "
        f"{after.shorter:.1%}",
        "likelier": f"the preferred answer in {before.likelier:.1%} of them before, {after.likelier:.1%} after",
        "margin": f"{after.margin:+.2f} nats",
        "preferred answer": f"{after.chosen:+.2f} nats above the reference",
    }
    _print(facts, people)
    people.print("next:\n" + "\n".join(f"    {command}" for command in commands), markup=False, soft_wrap=True)


def _write(out: Path, facts: dict[str, Any]) -> None:
    from allyouneed.data.cache import atomic_write

    atomic_write(out / "dpo.json", (encoder.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())


def _print(facts: dict[str, Any], people: "Console") -> None:
    for name, value in facts.items():
        people.print(f"{name:<18}{value:,}" if isinstance(value, int) else f"{name:<18}{value}", markup=False)
