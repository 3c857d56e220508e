"""Learning from preferences: the objective that `fit` takes, over any pure loss of log-probabilities."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from allyouneed.alignment.apo import apo_zero_loss
from allyouneed.alignment.dpo import dpo_loss, margin
from allyouneed.alignment.hinge import hinge_loss
from allyouneed.alignment.ipo import ipo_loss
from allyouneed.alignment.references import Reference, answer_logprobs, carried, logprobs_of
from allyouneed.alignment.robust import robust_loss
from allyouneed.alignment.sequences import n_scored, sequence_logprobs
from allyouneed.data.preferences.batches import PreferenceBatch
from allyouneed.objectives.loss import Loss

PairLoss = Callable[..., Float[Tensor, "pairs"]]
"""`loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected)`, each (pairs,), in nats -> a number a pair."""


@dataclass(frozen=True)
class Preference:
    """An objective over pairs; its items are pairs.

    loss: a pure loss with its settings bound, such as `partial(dpo_loss, beta=0.1)`.
    reference: where the reference's log-probabilities come from (`references`).
    per_token: the loss is given means over an answer's tokens in place of their sums.

    Logs the share of pairs that the policy tells apart (`accuracy`), the margin, and how far the preferred answer has
    risen above the reference (`chosen`), which often falls while the margin grows. The policy is compared with
    itself, so train without dropout: its noise would be in every ratio.
    """

    loss: PairLoss
    reference: Reference = carried
    per_token: bool = False

    def __call__(self, model: nn.Module, batch: PreferenceBatch) -> Loss:
        """The sum of the loss over the pairs."""
        policy, reference = answer_logprobs(model, batch), self.reference(model, batch)
        if self.per_token:
            lengths = n_scored(batch.targets)
            policy, reference = policy / lengths, reference / lengths
        four = (policy[:, 0], policy[:, 1], reference[:, 0], reference[:, 1])
        told_apart = margin(*four)
        metrics = {
            "accuracy": (told_apart > 0).to(policy.dtype).mean(),
            "margin": told_apart.mean(),
            "chosen": (policy - reference)[:, 0].mean(),
        }
        return Loss(self.loss(*four).sum(), len(policy), metrics)


def sft_on_chosen(model: nn.Module, batch: PreferenceBatch) -> Loss:
    """The objective that learns the preferred answers and does not look at the others; its items are tokens."""
    tokens, targets = batch.tokens[:, 0], batch.targets[:, 0]
    return Loss(-sequence_logprobs(model, tokens, targets).sum(), n_scored(targets).sum())


LOSSES: dict[str, Callable[[float], Preference]] = {
    "sigmoid": lambda beta: Preference(partial(dpo_loss, beta=beta)),
    "sigmoid_norm": lambda beta: Preference(partial(dpo_loss, beta=beta), per_token=True),
    "ipo": lambda beta: Preference(partial(ipo_loss, beta=beta), per_token=True),
    "hinge": lambda beta: Preference(partial(hinge_loss, beta=beta)),
    "robust": lambda beta: Preference(partial(robust_loss, beta=beta)),
    "apo_zero": lambda beta: Preference(partial(apo_zero_loss, beta=beta)),
}
"""Objectives by the names that trl has for them, given beta."""


def told_apart(
    model: nn.Module, batches: Iterable[PreferenceBatch], reference: Float[np.ndarray, "pairs 2"]
) -> Bool[np.ndarray, "pairs"]:
    """Of which pairs the policy's implicit reward prefers the preferred answer; of a tie it does not.

    reference: the log-probabilities of the pairs' answers, as `logprobs_of` gives them.
    """
    ratios = logprobs_of(model, batches) - reference
    return ratios[:, 0] > ratios[:, 1]
