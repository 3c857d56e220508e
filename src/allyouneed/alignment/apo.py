"""Anchored Preference Optimization (D'Oosterlinck et al., 2024), arXiv:2408.06266.

DPO looks at a difference alone, so both answers may become unlikely. APO-zero ties each to the reference: the
preferred answer is to become likelier than it was there, the other less likely (equation 7):

    loss = 1 - sigmoid(beta log(pi(y_w) / ref(y_w))) + sigmoid(beta log(pi(y_l) / ref(y_l)))
"""

import torch

from allyouneed.alignment.dpo import Pairs


def apo_zero_loss(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, beta: float
) -> Pairs:
    """APO-zero for each pair; arguments as in `dpo_loss`."""
    chosen = torch.sigmoid(beta * (policy_chosen - ref_chosen))
    rejected = torch.sigmoid(beta * (policy_rejected - ref_rejected))
    return 1 - chosen + rejected
