"""A General Theoretical Paradigm to Understand Learning from Human Preferences (Azar et al., 2023), arXiv:2310.12036.

Where one answer always wins, DPO pushes the margin without end, and the KL does not hold it. IPO wants a certain
margin instead, 1 / (2 beta), and no more (equation 17):

    loss = (log(pi(y_w) / ref(y_w)) - log(pi(y_l) / ref(y_l)) - 1 / (2 beta))^2

beta is the paper's tau.
"""

from allyouneed.alignment.dpo import Pairs, margin


def ipo_loss(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, beta: float
) -> Pairs:
    """Equation 17 for each pair. The paper has sums over the tokens; its authors' results, and trl, have means."""
    return (margin(policy_chosen, policy_rejected, ref_chosen, ref_rejected) - 1 / (2 * beta)) ** 2
