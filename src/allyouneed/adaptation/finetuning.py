"""Fine-tuning a decoder on conversations: what is held out, what it will need, the training, and what it changed."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from allyouneed.adaptation.lora import Lora
from allyouneed.adaptation.memory import Memory, Training, memory
from allyouneed.data.chats.batches import EncodedChats
from allyouneed.generation import write_texts
from allyouneed.generation.sampling import Sampling
from allyouneed.models import Decoder
from allyouneed.objectives import Objective, causal_lm
from allyouneed.tokenizers import CheckpointTokenizer
from allyouneed.tokenizers.answers import Chat, last_answer, last_question, prompt_tokens
from allyouneed.training import evaluate, fit
from allyouneed.training.nest import map_tensors, micro_batches

EVALUATED = 8  # rows at a time
WARMUP = 0.05  # of the steps


@dataclass(frozen=True)
class Settings:
    """How a training goes. lora: None trains all weights. batch_size: rows in a step, in each of which several chats
    may stand; micro_batch_size: so many of them at a time (None: all)."""

    lora: Lora | None
    lr: float
    max_steps: int
    batch_size: int
    micro_batch_size: int | None
    seed: int


@dataclass(frozen=True, eq=False)
class Job:
    """A decoder with what it learns and what is held out. `lora` is in the model already, if there is one."""

    model: Decoder
    tokenizer: CheckpointTokenizer
    settings: Settings
    train: EncodedChats
    held_out: EncodedChats
    examples: Sequence[Chat]

    @property
    def device(self) -> torch.device:
        return self.model.embedding.weight.device

    @property
    def training(self) -> Training:
        """What decides the memory it takes."""
        size = self.settings.batch_size
        rows = min(size, self.settings.micro_batch_size or size, len(self.train))
        weight = self.model.embedding.weight
        return Training(self.model.config, self.settings.lora, rows, self.train.width, weight.dtype)


@dataclass(frozen=True)
class Answered:
    """A question, the answer in the data, and what the model wrote."""

    question: str
    expected: str
    before: str
    after: str


def hold_out(chats: Sequence[Chat], share: float = 0.1) -> tuple[list[Chat], list[Chat]]:
    """The chats to train on, and about `share` of them, one at least, that are held out: by the hash of what they
    begin with, so that those which begin alike stay together, and a repeated one counts once.

    Raises ValueError if there would be none to train on.
    """
    by_start: dict[str, dict[str, Chat]] = {}
    for chat in chats:
        start = chat["messages"][0]["content"] if "messages" in chat else chat["prompt"]
        by_start.setdefault(str(start), {})[repr(chat)] = chat
    starts = sorted(by_start, key=lambda start: hashlib.sha256(start.encode("utf-8", "replace")).digest())
    held_out: list[Chat] = []
    n_chats = sum(map(len, by_start.values()))
    while starts and len(held_out) < max(1, share * n_chats):
        held_out += by_start.pop(starts.pop()).values()
    if not by_start:
        raise ValueError(f"of {n_chats} chats that differ none would be left to train on: give more, or --eval FILE")
    return [chat for some in by_start.values() for chat in some.values()], held_out


def cheaper(training: Training, limit: int) -> Iterator[tuple[str, Memory]]:
    """Changes under which a training fits into `limit` bytes, the one that changes least first."""
    tries: list[tuple[str, Training]] = []
    rows, length = training.rows, training.length
    while rows > 1:
        rows = math.ceil(rows / 2)
        tries.append((f"--micro-batch-size {rows}", replace(training, rows=rows)))
    one = replace(training, rows=1)
    if training.adapter is None:
        tries.append(("--method lora", replace(training, adapter=Lora())))
        one = replace(one, adapter=Lora())
    while length > 128:
        length //= 2
        tries.append((f"{_said(training)}--max-len {length}", replace(one, length=length)))
    if training.dtype == torch.float32:
        half = replace(one, dtype=torch.bfloat16)
        tries.append((f"{_said(training)}--dtype bfloat16", half))
        tries.append((f"{_said(training)}--dtype bfloat16 --max-len {length}", replace(half, length=length)))
    for option, changed in tries:
        needed = memory(changed)
        if needed.total <= limit:
            yield option, needed


def _said(training: Training) -> str:
    return "" if training.adapter is not None else "--method lora "


def seconds_a_step(job: Job) -> float:
    """How long a step will take: forward and backward of one micro-batch, done twice, the second time measured.

    The weights and the generators of random numbers are afterwards as they were.
    """
    rows = job.training.rows
    batch = next(job.train.stream(job.settings.batch_size, job.settings.seed))
    part = map_tensors(lambda tensor: tensor.to(job.device), next(micro_batches(batch, rows)))
    seconds = 0.0
    with torch.random.fork_rng():
        job.model.train()
        for _ in range(2):
            begin = time.perf_counter()
            causal_lm(job.model, part).total.backward()
            if job.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - begin
    job.model.zero_grad(set_to_none=True)
    job.model.eval()
    return seconds * math.ceil(len(batch.tokens) / rows)


def held_out_loss(job: Job) -> float:
    """Nats per scored token."""
    return evaluate(job.model, causal_lm, job.held_out.batches(EVALUATED))


def write_answers(job: Job, max_new_tokens: int) -> list[str]:
    """What the model writes itself in place of the last answer of each example; always the likeliest token."""
    room = max(1, job.model.config.max_seq_len - max_new_tokens)
    return write_texts(
        job.model,
        [prompt_tokens(job.tokenizer, chat)[-room:] for chat in job.examples],
        job.tokenizer,
        max_new_tokens=max_new_tokens,
        sampling=Sampling(temperature=0),
        stop_tokens=job.tokenizer.eos_ids,
    )


def compared(job: Job, before: Sequence[str], after: Sequence[str]) -> list[Answered]:
    """The examples, answer by answer."""
    return [Answered(last_question(c), last_answer(c), b, a) for c, b, a in zip(job.examples, before, after)]


def learn(job: Job, dir: Path | None, log: Callable[..., Any]) -> None:
    """Train what of the model is not frozen. `dir` and `log` are those of `fit`, which says what is raised."""
    stream = job.train.stream(job.settings.batch_size, job.settings.seed)
    tune(job.model, causal_lm, stream, job.settings, warmup=WARMUP, weight_decay=0.01, dir=dir, log=log)


def tune(
    model: Decoder,
    objective: Objective,
    stream: Iterator[Any],
    settings: Settings,
    *,
    warmup: float,
    weight_decay: float,
    dir: Path | None,
    log: Callable[..., Any],
) -> None:
    """`fit` as is usual in fine-tuning: a rate that falls to a tenth after a share of the steps, and slow averages. The
    model is left in evaluation mode."""
    fit(
        model,
        objective,
        stream,
        max_steps=settings.max_steps,
        lr=settings.lr,
        warmup_steps=math.ceil(warmup * settings.max_steps),
        weight_decay=weight_decay,
        betas=(0.9, 0.999),
        micro_batch_size=settings.micro_batch_size,
        seed=settings.seed,
        log=log,
        log_every=1,
        dir=dir,
    )
    model.eval()
