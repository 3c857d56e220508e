"""`allyouneed finetune` and `merge`: a checkpoint learns from conversations, by LoRA or whole."""

import math
import shlex
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from allyouneed.cli.options import STOPPED
from allyouneed.cli.printing import console, print_json
from allyouneed.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from allyouneed.adaptation import Lora
    from allyouneed.adaptation.finetuning import Answered, Job
    from allyouneed.adaptation.memory import Memory
    from allyouneed.models import Decoder
    from allyouneed.tokenizers.answers import Chat

SHOWN = 5  # answers, before and after
ANSWER = 64  # tokens of each at most
LR = {"lora": 2e-4, "full": 2e-5}

FORMS = '{"messages": [...]} or {"prompt": ..., "completion": ...}'

Method = Literal["lora", "full"]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(
        epilog="Examples: allyouneed finetune --model ./llama --data chat.jsonl --dry-run · "
        "allyouneed finetune --model ./gpt2 --data chat.jsonl --targets c_attn --out ./adapter"
    )(finetune)
    app.command(epilog="Example: allyouneed merge ./adapter --out ./merged")(merge)


def finetune(
    model: Annotated[str, typer.Option(metavar="DIR_OR_HUB_ID", help="The checkpoint that learns.")],
    data: Annotated[Path, typer.Option(metavar="FILE.jsonl", help=f"Lines {FORMS}.")],
    method: Annotated[Method, typer.Option(help="lora trains small parts beside the weights; full them all.")] = "lora",
    rank: Annotated[int, typer.Option(min=1, help="LoRA: of the updates.")] = 8,
    alpha: Annotated[
        float | None, typer.Option(help="LoRA: updates count alpha / rank times; the rank if left out.")
    ] = None,
    targets: Annotated[
        str, typer.Option(help="LoRA: all, or names such as q,v, also those of the checkpoint: q_proj,v_proj.")
    ] = "all",
    lr: Annotated[float | None, typer.Option(min=0, help="Learning rate: 2e-4 for lora, 2e-5 for full.")] = None,
    epochs: Annotated[float, typer.Option(min=0, help="How often each conversation is seen.")] = 3.0,
    steps: Annotated[int | None, typer.Option(min=1, help="In place of epochs.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in a step; several conversations share one.")] = 8,
    micro_batch_size: Annotated[
        int | None, typer.Option(min=1, help="Rows at a time: less memory, the same result.")
    ] = None,
    max_len: Annotated[int, typer.Option(min=2, help="Tokens of a row; longer conversations lose their end.")] = 1024,
    eval: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="What is held out; a tenth of the data if left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the adapter or model, and the report.")] = Path("finetuned"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would need.")] = False,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32 or bfloat16; that of the files if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the start of the adapter and of the order of the data.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Outcome as JSON on stdout, progress on stderr.")] = False,
) -> None:
    """Teach a checkpoint the answers of your conversations; prompts are read, and only answers are learned.

    First it says what it will need. It ends with the loss on held-out conversations and five answers, before and
    after. After Ctrl-C the same command goes on.
    """
    from allyouneed.adaptation import finetuning
    from allyouneed.data.chats.batches import encode_chats
    from allyouneed.models import hub

    people = console(to_stderr=json)
    try:
        train, held_out = _chats(data, eval)
        tokenizer, learner = hub.tokenizer(model), _decoder(model, dtype, device)
        longest = min(max_len, learner.config.max_seq_len)
        rows, held_rows = (encode_chats(some, tokenizer, longest) for some in (train, held_out))
        lora = _adapted(learner, targets, rank, alpha, seed) if method == "lora" else None
        n_steps = steps or max(1, math.ceil(epochs * len(rows) / batch_size))
        settings = finetuning.Settings(lora, lr or LR[method], n_steps, batch_size, micro_batch_size, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    job = finetuning.Job(learner, tokenizer, settings, rows, held_rows, held_out[:SHOWN])
    with _out_of_memory(job):
        facts = {"model": model, "data": str(data), "method": method} | _plan(job, people)
        if dry_run:
            if json:
                print_json(facts)
            return
        before = finetuning.held_out_loss(job), finetuning.write_answers(job, ANSWER)
        _learn(job, out / "training", people)
        after = finetuning.held_out_loss(job), finetuning.write_answers(job, ANSWER)
    facts |= {"held-out loss before": before[0], "held-out loss after": after[0]}
    _finish(job, model, out, facts, finetuning.compared(job, before[1], after[1]), as_json=json, people=people)


def merge(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="A folder with adapter_config.json.")],
    out: Annotated[Path, typer.Option(help="The folder to write the merged checkpoint to.")],
    model: Annotated[
        str | None, typer.Option(metavar="DIR_OR_HUB_ID", help="The checkpoint it belongs to, if not the one it names.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the weights; that of the files if left out.")] = None,
) -> None:
    """Put an adapter into the weights of its checkpoint, and write a checkpoint that needs no adapter."""
    from allyouneed.adaptation import load_adapter, remove_adapters
    from allyouneed.adaptation import merge as merge_in
    from allyouneed.adaptation.peft_format import CONFIG
    from allyouneed.models import hub

    named = hub.read_json(adapter / CONFIG).get("base_model_name_or_path") if (adapter / CONFIG).is_file() else None
    if (adapter / CONFIG).is_file() and not (model or named):
        raise UserError(f"{adapter / CONFIG} does not say which checkpoint it belongs to: add --model")
    if not (adapter / CONFIG).is_file():
        raise UserError(f"{adapter} is not an adapter: it has no {CONFIG}")
    base = model or str(named)
    learner = hub.load(base, dtype, device="cpu")
    try:
        load_adapter(learner, adapter)
        merge_in(learner)
    except ValueError as error:
        raise UserError(str(error)) from error
    remove_adapters(learner)
    kind = hub.save(learner, out)
    hub.copy_beside(base, out)
    print(f"{kind}: {adapter} merged into {base}, at {out}")


def _chats(data: Path, eval: Path | None) -> "tuple[Sequence[Chat], Sequence[Chat]]":
    from allyouneed.adaptation.finetuning import hold_out
    from allyouneed.data.chats.files import read_chats

    return hold_out(read_chats(data)) if eval is None else (read_chats(data), read_chats(eval))


def _decoder(source: str, dtype: str | None, device: str) -> "Decoder":
    from allyouneed.models import Decoder, hub

    model = hub.writer(source, dtype, device)
    if not isinstance(model, Decoder):
        raise UserError(f"{source} reads a source and writes a target; fine-tuning on conversations is for decoders")
    return model


def _adapted(model: "Decoder", targets: str, rank: int, alpha: float | None, seed: int) -> "Lora":
    from allyouneed.adaptation import Lora, add_adapter, fused
    from allyouneed.adaptation.places import patterns

    names = [name.strip() for name in targets.split(",") if name.strip()]
    chosen, together = patterns(model, names)
    lora = Lora(rank=rank, alpha=alpha if alpha is not None else rank, targets=chosen)
    add_adapter(model, lora, seed=seed, share=fused(model) if together else ())
    return lora


def _plan(job: "Job", people: "Console") -> dict[str, Any]:
    """Say what the training will need. Raises UserError if it is more than there is."""
    from allyouneed.adaptation.finetuning import seconds_a_step
    from allyouneed.adaptation.memory import available, memory

    needed, free = memory(job.training), available(job.device)
    train, settings = job.train, job.settings
    facts: dict[str, Any] = {
        "conversations": len(train.inputs),
        "scored tokens": train.n_scored,
        "rows": f"{len(train)} of at most {train.width} tokens",
        "cut / left out": f"{train.n_cut} / {train.n_left_out}",
        "held out": len(job.held_out.inputs),
        "trained weights": f"{needed.n_trained:,} of {needed.n_weights:,} ({needed.n_trained / needed.n_weights:.2%})",
        "memory": _parts(needed),
        "free": "unknown" if free is None else _size(free),
        "steps": f"{settings.max_steps} of {settings.batch_size} rows",
        "lr": settings.lr,
    }
    _table(facts, people)
    if free is not None and needed.total > free:
        raise UserError(f"this needs about {_size(needed.total)}, and {_size(free)} are free. {_advice(job, free)}")
    seconds = seconds_a_step(job)
    facts |= {"seconds a step": seconds, "minutes": seconds * settings.max_steps / 60}
    _table({"time": f"about {facts['minutes']:.1f} minutes ({seconds:.2f} s a step, measured)"}, people)
    return facts


@contextmanager
def _out_of_memory(job: "Job") -> "Iterator[None]":
    """What runs out of memory inside ends with the option that would have needed less."""
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        from allyouneed.adaptation.memory import memory

        raise UserError(f"out of memory. {_advice(job, memory(job.training).total * 3 // 4)}") from error


def _advice(job: "Job", limit: int) -> str:
    from allyouneed.adaptation.finetuning import cheaper

    option, needed = next(cheaper(job.training, limit), (None, None))
    if option is None or needed is None:
        return "No option of this command makes it fit: take a smaller model"
    return f"It would fit with {option}, which needs about {_size(needed.total)}"


def _learn(job: "Job", folder: Path, people: "Console") -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from allyouneed.adaptation.finetuning import learn

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("loss {task.fields[loss]:.3f}"), console=people) as progress:
        task = progress.add_task("", total=job.settings.max_steps, loss=math.nan)
        try:
            learn(job, folder, lambda **row: progress.update(task, completed=row["step"], loss=row["loss"]))
        except KeyboardInterrupt:
            print("allyouneed: stopped; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(STOPPED) from None


def _finish(
    job: "Job",
    source: str,
    out: Path,
    facts: dict[str, Any],
    answers: "list[Answered]",
    *,
    as_json: bool,
    people: "Console",
) -> None:
    """Write what was learned, and say how to use it."""
    from allyouneed.adaptation import save_adapter
    from allyouneed.adaptation.report import write_report
    from allyouneed.models import hub

    base = str(Path(source).resolve()) if Path(source).is_dir() else source
    ask = "--chat " if job.tokenizer.chat_templates else ""
    question = shlex.quote(answers[0].question[:80]) if answers else "''"
    if job.settings.lora is not None:
        save_adapter(job.model, out, base=base)
        merged = f"{out}-merged"
        commands = [f"allyouneed merge {out} --out {merged}", f"allyouneed generate {merged} {ask}{question}"]
    else:
        hub.save(job.model, out)
        hub.copy_beside(source, out)
        commands = [f"allyouneed generate {out} {ask}{question}"]
    page = write_report(out, facts, answers, commands)
    shutil.rmtree(out / "training", ignore_errors=True)
    if as_json:
        print_json({**facts, "answers": [vars(a) for a in answers], "next": commands, "report": str(page)})
        return
    for answer in answers:
        _table({"asked": answer.question, "before": answer.before, "after": answer.after}, people)
    names = ("held-out loss before", "held-out loss after")
    _table({name: f"{facts[name]:.4f} nats a token" for name in names} | {"report": str(page)}, people)
    people.print("next:\n" + "\n".join(f"    {command}" for command in commands), markup=False, soft_wrap=True)


def _table(facts: dict[str, Any], people: "Console") -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(Text(name, style="bold"), Text(str(value)))
    people.print(table)


def _parts(memory: "Memory") -> str:
    parts = {"weights": memory.weights, "gradients and Adam": memory.state, "activations": memory.activations}
    return f"about {_size(memory.total)}: " + ", ".join(f"{name} {_size(size)}" for name, size in parts.items())


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.2f} MB"
