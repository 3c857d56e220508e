"""Direct Preference Optimization: Your Language Model is Secretly a Reward Model (Rafailov et al., 2023).

arXiv:2305.18290. The policy that earns most reward at a price of beta per nat of KL from a reference is
pi*(y|x) = ref(y|x) exp(r(x, y) / beta) / Z(x) (equation 4). Read backwards, every policy is the best one for a reward,

    r(x, y) = beta log(pi(y|x) / ref(y|x)) + beta log Z(x)                                            (equation 5)

and of two answers to one prompt Z cancels. So the policy is itself the reward model that a preference model is fitted
with; no reward model, no sampling:

    loss = -log sigmoid(beta [log(pi(y_w|x) / ref(y_w|x)) - log(pi(y_l|x) / ref(y_l|x))])             (equation 7)

| here | paper |
| --- | --- |
| policy_chosen, policy_rejected | log pi(y_w|x), log pi(y_l|x): sums over the answer's tokens, its end included |
| ref_chosen, ref_rejected | the same under pi_ref |
| beta | beta |
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Pairs = Float[Tensor, "*pairs"]


def dpo_loss(
    policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs, beta: float
) -> Pairs:
    """Equation 7 for each pair; all arguments in nats. log 2 where the policy is the reference.

    Of means over the tokens in place of sums it is another loss, which trl calls sigmoid_norm.
    """
    return -F.logsigmoid(beta * margin(policy_chosen, policy_rejected, ref_chosen, ref_rejected))


def margin(policy_chosen: Pairs, policy_rejected: Pairs, ref_chosen: Pairs, ref_rejected: Pairs) -> Pairs:
    """How much more the policy has raised the preferred answer than the other, in nats; beta times it is the
    difference of their implicit rewards."""
    return (policy_chosen - ref_chosen) - (policy_rejected - ref_rejected)
