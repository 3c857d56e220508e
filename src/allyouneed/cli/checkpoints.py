"""`allyouneed generate`, `score`, `convert` and `diff`: real checkpoints, used, written anew and compared."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from allyouneed.cli.printing import console, json_numbers, print_json
from allyouneed.errors import UserError

if TYPE_CHECKING:
    from allyouneed.models.diff import Difference
    from allyouneed.tokenizers import CheckpointTokenizer

Source = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A folder with config.json, or a name on the hub.")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16, float16 or float64; that of the files if left out.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(
        epilog='Examples: allyouneed generate ./gpt2 "Once upon a time" · '
        'allyouneed generate ./qwen3 --chat "What is a mixer?" --temperature 0 · '
        'allyouneed generate ./llama --draft ./small-llama "def fib(n):"'
    )(generate)
    app.command(epilog='Example: allyouneed score ./gpt2 "The sky is" " blue." " made of cheese."')(score)
    app.command(epilog="Example: allyouneed convert ./llama ./llama-bf16 --dtype bfloat16")(convert)
    app.command(epilog="Example: allyouneed diff ./llama")(diff)


def generate(
    checkpoint: Source,
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT...", help="What to write on from; standard input if none.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to write at most.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from the k likeliest tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest that reach this probability.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Draw from those with this share of the likeliest's.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: what was written is less likely.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A text to stop at; may be given again.")] = None,
    beams: Annotated[int, typer.Option(min=1, help="Beam search of this width, in place of drawing.")] = 1,
    draft: Annotated[
        str | None, typer.Option(metavar="CHECKPOINT", help="A small model that guesses ahead: the same, sooner.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Each prompt is a message to the model.")] = False,
    system: Annotated[str | None, typer.Option(help="The system message of a chat.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    dtype: Dtype = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Texts and seconds as JSON on stdout.")] = False,
) -> None:
    """Let a checkpoint write on from one prompt, shown as it is written, or from several at once.

    For an encoder-decoder a prompt is the source. Writing ends at the checkpoint's own end-of-text tokens.
    """
    from allyouneed.generation import Sampling, stream_text, write_texts
    from allyouneed.models import hub

    if system is not None and not chat:
        raise typer.BadParameter("a system message belongs to a chat: add --chat", param_hint="--system")
    if beams > 1 and draft:
        raise typer.BadParameter("beams need no draft: leave one of them out", param_hint="--draft")
    texts = prompts or [sys.stdin.read()]
    tokenizer = hub.tokenizer(checkpoint)
    asked = [_tokens(tokenizer, text, chat, system) for text in texts]
    model = hub.writer(checkpoint, dtype, device)
    guesser = hub.writer(draft, dtype, device) if draft else None
    started = time.perf_counter()
    try:
        settings: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "sampling": Sampling(temperature, top_k, top_p, min_p, repetition_penalty),
            "stop_tokens": tokenizer.eos_ids,
            "stop_strings": tuple(stop or ()),
            "seed": seed,
        }
        if len(texts) == 1 and beams == 1 and not draft and not json:
            for piece in stream_text(model, asked[0], tokenizer, **settings):
                print(piece, end="", flush=True)
            print()
            return
        written = write_texts(model, asked, tokenizer, n_beams=beams, draft=guesser, **settings)
    except ValueError as error:  # settings or prompts that no model takes
        raise UserError(str(error)) from error
    if json:
        answers = [{"prompt": text, "text": answer} for text, answer in zip(texts, written)]
        print_json({"answers": answers, "seconds": time.perf_counter() - started})
    else:
        _print_answers(texts, written)


def _print_answers(prompts: list[str], answers: list[str]) -> None:
    for prompt, answer in zip(prompts, answers):
        if len(prompts) > 1:
            console().print(Text(f"> {prompt}", style="dim"))
        print(answer)


def _tokens(tokenizer: "CheckpointTokenizer", text: str, chat: bool, system: str | None) -> list[int]:
    if not chat:
        return tokenizer.encode(text, special=True)
    before = [] if system is None else [{"role": "system", "content": system}]
    return tokenizer.encode(tokenizer.chat([*before, {"role": "user", "content": text}]))


def score(
    checkpoint: Source,
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="What comes before (or the source).")],
    continuations: Annotated[list[str], typer.Argument(metavar="CONTINUATION...", help="What may come next.")],
    dtype: Dtype = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="With the log probability of each token, as JSON.")] = False,
) -> None:
    """Say how likely a checkpoint finds each continuation of a context, the likeliest first.

    A continuation is cut into tokens together with its context, as a text would be: begin it with a space where
    there is one.
    """
    from allyouneed.generation.text import score_texts
    from allyouneed.models import hub

    tokenizer = hub.tokenizer(checkpoint)
    model = hub.writer(checkpoint, dtype, device)
    try:
        found = score_texts(model, tokenizer, context, continuations)
    except ValueError as error:  # a text without a token, or a model that writes nothing
        raise UserError(str(error)) from error
    ranked = sorted(zip(continuations, found), key=lambda entry: -entry[1].total)
    if json:
        keys = ("total", "log_probabilities", "greedy")
        entries = [{"continuation": text} | {key: getattr(one, key) for key in keys} for text, one in ranked]
        print_json(json_numbers(entries))
        return
    table = Table("continuation", "log p (nats)", "a token", "tokens", box=box.SIMPLE_HEAD, show_edge=False)
    for text, one in ranked:
        n_tokens = len(one.log_probabilities)
        greedy = " (what greedy decoding writes)" if one.greedy else ""
        table.add_row(Text(repr(text) + greedy), f"{one.total:.3f}", f"{one.total / n_tokens:.3f}", str(n_tokens))
    console().print(table)


def convert(
    checkpoint: Source,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The folder to write to.")],
    dtype: Dtype = None,
    shard_gb: Annotated[float, typer.Option(min=1e-6, max=1e6, help="Files of at most so many GB.")] = 4.0,
) -> None:
    """Write a checkpoint anew: in another precision, in files of another size, with keys that old and new tools read.

    Its tokenizer goes along. TARGET is complete or, if anything fails, as it was.
    """
    from allyouneed.models import hub

    model = hub.load(checkpoint, dtype, device="cpu")
    kind = hub.save(model, target, shard_size=int(shard_gb * 1e9))
    extra = hub.copy_beside(checkpoint, target)
    size = sum(file.stat().st_size for file in target.glob("*.safetensors"))
    n_parameters = sum(p.numel() for p in model.parameters())
    print(f"{kind}: {n_parameters:,} parameters in {size / 1e9:.2f} GB at {target}")
    print(f"beside them: {', '.join(extra)}" if extra else "it came without a tokenizer")


def diff(
    checkpoint: Source,
    json: Annotated[bool, typer.Option("--json", help="Place by place as JSON on stdout.")] = False,
) -> None:
    """Compare a checkpoint, as it is read here, with what transformers makes of it, and name the first layer that
    differs. Exit code: 1 if one does.
    """
    from allyouneed.models.diff import diff as compare

    found = compare(checkpoint)
    first = next((place for place in found if place.is_one), None)
    if json:
        places = [{"place": place.place, "relative": place.relative, "differs": place.is_one} for place in found]
        print_json(json_numbers(places))
    else:
        _print_differences(found, first)
    raise typer.Exit(1 if first else 0)


def _print_differences(found: "list[Difference]", first: "Difference | None") -> None:
    table = Table("place", "largest difference", box=box.SIMPLE_HEAD, show_edge=False)
    for place in found:
        style = "bold red" if place is first else ""
        table.add_row(place.place, Text(f"{place.relative:.1e} of the largest value", style=style))
    console().print(table)
    print(f"the first to differ is {first.place}" if first else "no place differs by more than rounding")
