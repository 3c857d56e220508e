"""Three calculators of different sizes and schooling, with prices that are what they compute.

Decoders of about 0.03, 0.2 and 1.2 million weights, trained on other mixtures of sums in digits and in words: what
one was seldom shown another knows, so that the smaller ones are right on some questions on which the largest is wrong.
Studies of whom to ask need nothing else of a language model, and their prices are no market's: floating-point
operations, from the configs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from allyouneed.blocks.positions import Rope
from allyouneed.clients.client import Request
from allyouneed.clients.local import Local
from allyouneed.clients.metered import Price
from allyouneed.data.answers.answers import Log, log_of
from allyouneed.data.answers.files import read_log, write_log
from allyouneed.data.batch import TokenBatch
from allyouneed.data.stream import NumberedStream
from allyouneed.data.tasks import Arithmetic, Mixture, SpelledArithmetic
from allyouneed.data.tasks.task import END
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.models.flops import flops_a_token
from allyouneed.models.hub import save, writer
from allyouneed.objectives import causal_lm
from allyouneed.training import fit

TASKS = (
    Arithmetic(49, ("+",)),
    Arithmetic(99, ("+",)),
    Arithmetic(99, ("-",)),
    SpelledArithmetic(49, ("+",)),
)
ASKED = (1.0,) * len(TASKS)  # how often each is asked of all of them
PACKAGES = ("num2words",)  # whose version the questions depend on


@dataclass(frozen=True)
class Organism:
    """One calculator: its sizes, how often it is shown each of TASKS, and its training."""

    name: str
    d_model: int
    n_layers: int
    weights: tuple[float, ...]
    max_steps: int
    lr: float
    batch_size: int = 128

    def config(self) -> DecoderConfig:
        """The decoder's."""
        task = Mixture(TASKS, ASKED)
        return DecoderConfig(
            vocab_size=task.vocab_size,
            d_model=self.d_model,
            n_layers=self.n_layers,
            n_heads=4,
            max_seq_len=task.length,
            positions=Rope(),
        )


ORGANISMS = (
    Organism("small", 32, 2, (3, 2, 1, 1), 1500, 1e-2),
    Organism("medium", 88, 2, (2, 2, 1, 2), 1200, 4e-3),
    Organism("large", 224, 2, (2, 2, 1.5, 1), 1200, 1e-3),
)


def shortened(organisms: Sequence[Organism], share: float) -> tuple[Organism, ...]:
    """The same with a share of their steps (more than 1 for longer training)."""
    return tuple(replace(o, max_steps=max(1, round(share * o.max_steps))) for o in organisms)


class Turns(NumberedStream[TokenBatch]):
    """Batches of one task each, drawn by weight: so that sums in digits are not padded to the length of words."""

    def __init__(self, weights: Sequence[float], batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self.weights = tuple(weights)
        self.streams = [Mixture(TASKS, _only(i)).train(batch_size, seed) for i in range(len(TASKS))]

    def draw(self, n: int) -> TokenBatch:
        """A batch of train problems."""
        shares = np.array(self.weights) / sum(self.weights)
        return self.streams[int(self.random(n).choice(len(TASKS), p=shares))].draw(n)

    def source(self) -> str:
        """The tasks with their weights."""
        return repr(Mixture(TASKS, self.weights))


def _only(i: int) -> tuple[float, ...]:
    return tuple(float(k == i) for k in range(len(TASKS)))


def price(config: DecoderConfig) -> Price:
    """FLOPs for a token read or written, at half of the longest context."""
    each = Decimal(round(flops_a_token(config, config.max_seq_len / 2)))
    return Price(each, each)


def arithmetic_organisms(run: Any, organisms: tuple[Organism, ...] = ORGANISMS) -> None:
    """A recipe: trains each and writes it to a folder of its name."""
    for organism in organisms:
        model = Decoder(organism.config(), seed=run.seed).to(run.device)
        fit(
            model,
            causal_lm,
            Turns(organism.weights, organism.batch_size, seed=run.seed),
            max_steps=organism.max_steps,
            lr=organism.lr,
            warmup_steps=organism.max_steps // 20,
            weight_decay=0.01,
            seed=run.seed,
            log=lambda **values: run.heartbeat(),
            log_every=20,
        )
        save(model, run.dir / organism.name)


def open_organisms(folder: Path, names: Sequence[str]) -> dict[str, Local]:
    """The trained ones as clients, by name."""
    tokenizer = Mixture(TASKS, ASKED).tokenizer
    ends = tokenizer.encode(END)
    return {
        name: Local(writer(folder / name, device="cpu"), tokenizer, name=name, stop_tokens=ends, batch_size=256)
        for name in names
    }


def organism_answers(run: Any, split: str, n: int, seed: int, organisms: tuple[Organism, ...] = ORGANISMS) -> None:
    """A recipe: asks all of them n questions of a split and writes the log, "answers.jsonl".

    A score is the model's own confidence: the probability that it gives to the whole of its answer. Costs are FLOPs.
    """
    folder = run.artifact(arithmetic_organisms, organisms=organisms)
    write_log(run.dir / "answers.jsonl", asked(open_organisms(folder, [o.name for o in organisms]), split, n, seed))


def read_answers(folder: Path) -> Log:
    """The log that `organism_answers` wrote."""
    return read_log(folder / "answers.jsonl")


def asked(clients: Mapping[str, Local], split: str, n: int, seed: int) -> Log:
    """What the organisms answer to n questions of "tune" or "test", drawn by seed."""
    task = Mixture(TASKS, ASKED)
    problems = task.sample(split, n, seed)
    questions = [task.text(problem) for problem in problems]
    longest = max(len(answer) for _, answer in questions)
    rows: list[dict[str, Any]] = [
        {"query": query, "gold": gold, "group": str(problem[0]), "answers": {}}
        for (query, gold), problem in zip(questions, problems)
    ]
    requests = [Request(query, max_new_tokens=longest + 1, logprobs=True) for query, _ in questions]
    for name, client in clients.items():
        prices = price(client.model.config)  # type: ignore[union-attr]
        for row, completion in zip(rows, client.complete_batch(requests)):
            row["answers"][name] = {
                "text": completion.text,
                "cost": float(prices.of(completion.usage)),
                "correct": completion.text == row["gold"],
                "score": float(np.exp(sum(completion.logprobs or ()))),
            }
    return log_of(tuple(clients), rows)
