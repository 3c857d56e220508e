"""Models that do what people prefer: pure losses on log-probabilities, one file each, and what `fit` needs of them."""

from allyouneed.alignment.apo import apo_zero_loss
from allyouneed.alignment.dpo import dpo_loss, margin
from allyouneed.alignment.hinge import hinge_loss
from allyouneed.alignment.ipo import ipo_loss
from allyouneed.alignment.preferences import LOSSES, PairLoss, Preference, sft_on_chosen, told_apart
from allyouneed.alignment.references import (
    OtherModel,
    Reference,
    answer_logprobs,
    carried,
    logprobs_of,
    without_adapters,
)
from allyouneed.alignment.reward_model import RewardModel, answer_rewards, bradley_terry, reward_loss
from allyouneed.alignment.robust import robust_loss
from allyouneed.alignment.sequences import sequence_logprobs

__all__ = [
    "LOSSES",
    "OtherModel",
    "PairLoss",
    "Preference",
    "Reference",
    "RewardModel",
    "answer_logprobs",
    "answer_rewards",
    "apo_zero_loss",
    "bradley_terry",
    "carried",
    "dpo_loss",
    "hinge_loss",
    "ipo_loss",
    "logprobs_of",
    "margin",
    "reward_loss",
    "robust_loss",
    "sequence_logprobs",
    "sft_on_chosen",
    "told_apart",
    "without_adapters",
]
