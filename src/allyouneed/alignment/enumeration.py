"""All sequences of a small language at once: what a policy thinks of each, and the exact gradient of what it earns.

Sequences that begin alike share their beginning, so the model reads each of the 1 + n + n^2 + ... beginnings once and
one symbol at a time, from the state behind the beginning that it lengthens. For 6^6 sequences these are 9,331 tokens
in place of 279,936. The sum over all sequences is what policy-gradient methods draw samples of: in place of a noisy
estimate it gives the gradient of

    J(pi) = E_pi[r] - beta KL(pi || ref)      (Rafailov et al., 2023, arXiv:2305.18290, equation 3)

itself, so what is left between PPO and this is PPO's noise, and between this and the best policy the model's form.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from allyouneed.models.decoder import Decoder
from allyouneed.models.modes import evaluation_mode
from allyouneed.objectives.loss import Loss


def all_logprobs(policy: Decoder, length: int) -> Float[Tensor, "all"]:
    """Log-probabilities, in nats and float64, of all sequences of that length over the policy's vocabulary, numbered
    by their digits; each read behind a token 0, which is not part of it (`data.tasks.enumerable.with_start`)."""
    n = policy.config.vocab_size
    weight = policy.embedding.weight
    tokens, state = torch.zeros(1, 1, dtype=torch.long, device=weight.device), policy.new_state(1)
    log_p = torch.zeros(1, dtype=torch.float64, device=weight.device)
    for place in range(length):
        logits = policy.head(policy.hidden(tokens, state=state)[:, -1])
        log_p = (log_p[:, None] + logits.double().log_softmax(-1)).flatten()
        if place + 1 < length:
            beginnings = torch.arange(len(tokens), device=weight.device)
            state = state.select(beginnings.repeat_interleave(n))
            tokens = torch.arange(n, device=weight.device).repeat(len(tokens))[:, None]
    return log_p


def exact_policy(policy: Decoder, length: int) -> Float[np.ndarray, "all"]:
    """The same without gradients, for arithmetic over all sequences."""
    with evaluation_mode(policy), torch.inference_mode():
        return all_logprobs(policy, length).cpu().numpy()


@dataclass(frozen=True)
class ExactReward:
    """The objective -J(pi); its one item is the expectation, its batches are nothing (`Nothing`).

    rewards, reference: r(y) and log ref(y) of all sequences, by number.
    """

    rewards: Float[Tensor, "all"]
    reference: Float[Tensor, "all"]
    beta: float
    length: int

    def __call__(self, model: nn.Module, batch: object) -> Loss:
        """Minus E_pi[r] - beta KL(pi || ref), exactly."""
        assert isinstance(model, Decoder)
        log_p = all_logprobs(model, self.length)
        p = log_p.exp()
        earned, distance = p @ self.rewards, p @ (log_p - self.reference)
        return Loss(self.beta * distance - earned, 1, {"reward": earned, "kl": distance})


class Nothing:
    """The stream of an objective that needs no data."""

    def __iter__(self) -> "Nothing":
        return self

    def __next__(self) -> tuple[()]:
        return ()

    def state_dict(self) -> None:
        """None: it stands nowhere."""

    def load_state_dict(self, state: None) -> None:
        """Nothing to put back."""
