"""A reward model: a stack that reads a whole text and gives one number, fitted to preferences.

Bradley and Terry (1952) have the better of two texts win with probability sigmoid(r_w - r_l); the loss is minus the
logarithm of that (Ouyang et al., 2022, arXiv:2203.02155, equation 1 with two answers a prompt; equation 2 of
Rafailov et al., 2023, arXiv:2305.18290).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.linear import Linear
from allyouneed.data.batch import IGNORE
from allyouneed.data.preferences.batches import PreferenceBatch
from allyouneed.models.decoder import Decoder
from allyouneed.objectives.loss import Loss


class RewardModel(nn.Module):
    """A decoder's vector at the last token of a text, and a linear layer without bias, at 0 to begin with.

    trunk: usually a copy of the policy, which it is fitted on from. A number added to all rewards changes no
    preference, so there is no bias to learn.
    """

    def __init__(self, trunk: Decoder) -> None:
        super().__init__()
        self.trunk = trunk
        weight = trunk.embedding.weight
        self.reward = Linear(trunk.config.d_model, 1, bias=False).to(weight.device, weight.dtype)
        nn.init.zeros_(self.reward.weight)

    def forward(self, tokens: Int[Tensor, "rows seq"], last: Int[Tensor, "rows"]) -> Float[Tensor, "rows"]:
        """The reward of each row, which ends at place `last`; what stands behind it is not looked at."""
        hidden = self.trunk.hidden(tokens)
        return self.reward(hidden[torch.arange(len(tokens), device=tokens.device), last])[:, 0]


def reward_loss(chosen: Float[Tensor, "*pairs"], rejected: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
    """-log sigmoid(r_w - r_l) for each pair."""
    return -F.logsigmoid(chosen - rejected)


def bradley_terry(model: nn.Module, batch: PreferenceBatch) -> Loss:
    """The objective that fits a reward model to pairs; its items are pairs."""
    chosen, rejected = answer_rewards(model, batch).unbind(1)
    accuracy = (chosen > rejected).to(chosen.dtype).mean()
    return Loss(reward_loss(chosen, rejected).sum(), len(chosen), {"accuracy": accuracy})


def answer_rewards(model: nn.Module, batch: PreferenceBatch) -> Float[Tensor, "pairs 2"]:
    """The rewards of both texts of each pair, read to the end of the answer."""
    tokens, targets = batch.tokens.flatten(0, 1), batch.targets.flatten(0, 1)
    scored = targets != IGNORE
    last = (scored * torch.arange(1, scored.shape[1] + 1, device=tokens.device)).amax(1)
    whole = F.pad(tokens, (0, 1))  # the last token of a text is there as a target alone
    whole[:, 1:] = torch.where(scored, targets, whole[:, 1:])
    return model(whole, last).unflatten(0, (-1, 2))
