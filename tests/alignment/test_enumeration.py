"""Exact policies and exact policy gradients, on languages small enough to check by brute force."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from allyouneed.alignment import dpo_loss
from allyouneed.alignment.enumeration import ExactReward, Nothing, all_logprobs, exact_policy
from allyouneed.blocks import Learned
from allyouneed.data.tasks.enumerable import Enumerable, expected, kl, tilted, with_start
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.training import fit

LANGUAGE = Enumerable(n_symbols=3, length=4)


def policy(seed=0):
    config = DecoderConfig(vocab_size=3, d_model=16, n_layers=2, n_heads=2, max_seq_len=5, positions=Learned())
    return Decoder(config, seed=seed).double()


def by_row(model):
    """Every sequence read from its start."""
    tokens = torch.from_numpy(with_start(LANGUAGE.sequences))
    log_p = model(tokens[:, :-1]).log_softmax(-1)
    return log_p.gather(-1, tokens[:, 1:, None]).squeeze(-1).sum(-1)


def test_beginnings_read_once_give_what_each_sequence_gives_alone():
    model = policy()
    torch.testing.assert_close(all_logprobs(model, 4), by_row(model), rtol=1e-12, atol=1e-12)
    found = exact_policy(model, 4)
    assert found.shape == (81,)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-12)


def test_the_exact_objective_and_its_gradient():
    model, rewards = policy(), torch.from_numpy(LANGUAGE.rewards)
    reference = torch.from_numpy(LANGUAGE.markov(0))
    loss = ExactReward(rewards, reference, beta=0.7, length=4)(model, ())
    log_p = exact_policy(model, 4)
    assert float(loss.metrics["kl"].detach()) == pytest.approx(kl(log_p, LANGUAGE.markov(0)))
    assert float(loss.total.detach()) == pytest.approx(
        0.7 * kl(log_p, LANGUAGE.markov(0)) - expected(log_p, LANGUAGE.rewards)
    )
    weight = model.layers[0].sublayers["mixer"].q.weight
    (found,) = torch.autograd.grad(loss.total, weight)
    # REINFORCE: the gradient of the mean is the mean of (r - beta log ratio) times the gradient of log p.
    scores = by_row(model)
    advantage = (rewards - 0.7 * (scores - reference)).detach()
    (score_gradient,) = torch.autograd.grad(-(scores.detach().exp() * advantage * scores).sum(), weight)
    torch.testing.assert_close(found, score_gradient, rtol=1e-9, atol=1e-12)


def test_trained_on_it_a_policy_goes_to_the_closed_form():
    model = policy()
    reference = exact_policy(model, 4)
    objective = ExactReward(torch.from_numpy(LANGUAGE.rewards), torch.from_numpy(reference), beta=1.0, length=4)
    fit(model, objective, Nothing(), max_steps=80, lr=2e-2, weight_decay=0.0, grad_clip=None)
    best = tilted(reference, LANGUAGE.rewards, 1.0)
    distance = np.abs(np.exp(exact_policy(model, 4)) - np.exp(best)).sum() / 2
    assert distance < 0.05  # at the start it is 0.4


@pytest.mark.parametrize("beta", [0.3, 1.0, 3.0])
def test_the_least_of_dpos_loss_over_all_pairs_is_the_best_policy_of_rlhf(beta):
    """The theorem of section 5.1 with a free policy: any logits, pairs weighted by how often they would be drawn."""
    language = Enumerable(n_symbols=3, length=3)
    reference, rewards = torch.from_numpy(language.markov(1)), torch.from_numpy(language.rewards)
    often = (reference[:, None] + reference).exp() * torch.sigmoid(rewards[:, None] - rewards)

    def loss(values):
        logits = torch.from_numpy(values).requires_grad_()
        log_p = logits.log_softmax(0)
        pairs = torch.cartesian_prod(torch.arange(len(language)), torch.arange(len(language)))
        each = dpo_loss(*log_p[pairs].unbind(1), *reference[pairs].unbind(1), beta).view(often.shape)
        total = (often * each).sum()
        total.backward()
        return float(total.detach()), logits.grad.numpy()

    found = minimize(loss, reference.numpy().copy(), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    best = tilted(reference.numpy(), language.rewards, beta)
    distance = np.abs(np.exp(found - np.logaddexp.reduce(found)) - np.exp(best)).sum() / 2
    assert distance < 1e-5
