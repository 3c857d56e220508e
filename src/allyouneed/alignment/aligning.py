"""Aligning a decoder with a file of preferences: what is held out, the training, and what it has changed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from allyouneed.adaptation import finetuning
from allyouneed.adaptation.memory import Training
from allyouneed.alignment.preferences import LOSSES
from allyouneed.alignment.references import logprobs_of
from allyouneed.data.preferences import PreferencePair
from allyouneed.data.preferences.batches import EncodedPreferences
from allyouneed.models import Decoder

EVALUATED = 8  # pairs at a time
WARMUP = 0.1  # of the steps


@dataclass(frozen=True)
class Settings(finetuning.Settings):
    """How a training goes: that of a fine-tuning, by a loss (a name of LOSSES); sizes count pairs."""

    loss: str
    beta: float


@dataclass(frozen=True, eq=False)
class Job:
    """A decoder, what it learns from and what is held out. `lora` is in the model already, if there is one; so far it
    changes nothing, and the model is the reference."""

    model: Decoder
    settings: Settings
    train: EncodedPreferences
    held_out: EncodedPreferences

    @property
    def training(self) -> Training:
        """What decides the memory it takes: a pair is two rows."""
        size = self.settings.batch_size
        rows = 2 * min(size, self.settings.micro_batch_size or size)
        longest = int(self.train.tokens.lengths.max())
        return Training(self.model.config, self.settings.lora, rows, longest, self.model.embedding.weight.dtype)


@dataclass(frozen=True)
class Judged:
    """What a policy thinks of held-out pairs; shares of pairs, and means in nats.

    told_apart: raises the preferred answer more than the other above the reference. likelier: finds it likelier.
    shorter: pairs of which the preferred answer has fewer tokens (1/2 for as many), the trivial predictor.
    margin, chosen: how far the preferred answer has risen above the other, and above the reference.
    """

    told_apart: float
    likelier: float
    shorter: float
    margin: float
    chosen: float


def hold_out_pairs(pairs: Sequence[PreferencePair]) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """The pairs to train on, and about a tenth that is held out; those of one prompt stay together.

    Raises ValueError if there would be none to train on.
    """
    try:
        train, held_out = finetuning.hold_out([{"prompt": pair.asked, "pair": pair} for pair in pairs])
    except ValueError:
        raise ValueError("all pairs have one prompt, so none can be held out: give pairs of several prompts") from None
    return [each["pair"] for each in train], [each["pair"] for each in held_out]


def align(job: Job, dir: Path | None, log: Callable[..., Any]) -> tuple[Judged, Judged]:
    """Train what of the model is not frozen, and say what it thought of the held-out pairs before and thinks after.

    The reference's log-probabilities are made beforehand, so that there is one model in memory. Dropout is off from
    here on: its noise would be in every ratio. `dir` and `log` are those of `fit`, which says what is raised.
    """
    for module in job.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    settings = job.settings
    reference, held_out = (logprobs_of(job.model, part.batches(EVALUATED)) for part in (job.train, job.held_out))
    stream = job.train.with_reference(reference).stream(settings.batch_size, settings.seed)
    loss = LOSSES[settings.loss](settings.beta)
    finetuning.tune(job.model, loss, stream, settings, warmup=WARMUP, weight_decay=0.0, dir=dir, log=log)
    after = logprobs_of(job.model, job.held_out.batches(EVALUATED))
    return judged(held_out, held_out, job.held_out), judged(after, held_out, job.held_out)


def judged(policy: np.ndarray, reference: np.ndarray, pairs: EncodedPreferences) -> Judged:
    """From the log-probabilities (pairs, 2) of both answers under the policy and under the reference."""
    ratios = policy - reference
    chosen, rejected = pairs.answer_lengths.T
    return Judged(
        told_apart=float((ratios[:, 0] > ratios[:, 1]).mean()),
        likelier=float((policy[:, 0] > policy[:, 1]).mean()),
        shorter=float(((chosen < rejected) + 0.5 * (chosen == rejected)).mean()),
        margin=float((ratios[:, 0] - ratios[:, 1]).mean()),
        chosen=float(ratios[:, 0].mean()),
    )


def facts_of(before: Judged, after: Judged) -> dict[str, Any]:
    """Both, as one flat table."""
    return {
        f"{name} {when}": value
        for when, one in (("before", before), ("after", after))
        for name, value in asdict(one).items()
    }
