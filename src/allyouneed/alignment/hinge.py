"""SLiC-HF (Zhao et al., 2023, arXiv:2305.10425) as a loss on DPO's margin (Liu et al., 2023, arXiv:2309.06657).

loss = max(0, 1 - beta [log(pi(y_w) / ref(y_w)) - log(pi(y_l) / ref(y_l))]): pairs that are told apart by enough
teach nothing more.
"""

import torch

from allyouneed.alignment.dpo import Pairs, margin


def hinge_loss(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, beta: float
) -> Pairs:
    """The hinge for each pair; arguments as in `dpo_loss`."""
    return torch.relu(1 - beta * margin(policy_chosen, policy_rejected, ref_chosen, ref_rejected))
