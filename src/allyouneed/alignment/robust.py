"""Provably Robust DPO: Aligning Language Models with Noisy Feedback (Chowdhury et al., 2024), arXiv:2403.00409.

If a share e of the preferences is recorded the wrong way round, the mean of

    [(1 - e) loss(y_w, y_l) - e loss(y_l, y_w)] / (1 - 2e)

over the recorded pairs is that of DPO's loss over the true ones.
"""

from allyouneed.alignment.dpo import Pairs, dpo_loss


def robust_loss(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    ref_chosen: Pairs,
    ref_rejected: Pairs,
    beta: float,
    flipped: float = 0.1,
) -> Pairs:
    """The corrected loss for each pair; it may be negative. flipped: e, the share of wrong labels.

    Raises ValueError unless 0 <= flipped < 0.5: with half of them wrong there is nothing to learn from.
    """
    if not 0 <= flipped < 0.5:
        raise ValueError(f"flipped must lie in [0, 0.5), got {flipped}")
    as_recorded = dpo_loss(policy_chosen, policy_rejected, ref_chosen, ref_rejected, beta)
    turned = dpo_loss(policy_rejected, policy_chosen, ref_rejected, ref_chosen, beta)
    return ((1 - flipped) * as_recorded - flipped * turned) / (1 - 2 * flipped)
