"""A strange stream: PPO on a task small enough to enumerate, sampling from the model that `fit` trains.

A policy writes three letters out of four; the reward counts how many are the letter before plus one.
Killed and resumed, it must end where the unbroken run ends.
"""

import copy
import itertools
from dataclasses import dataclass

import pytest
import torch

from allyouneed.blocks.positions import Learned
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.objectives import Loss
from allyouneed.training import fit

LETTERS, LENGTH, START = 4, 3, 4


def reward(words):
    return (words[:, 1:] == (words[:, :-1] + 1) % LETTERS).float().sum(-1)


def log_probs(model, words):
    """Log-probability of each letter, (batch, LENGTH)."""
    start = torch.full((len(words), 1), START)
    logits = model(torch.cat([start, words[:, :-1]], 1))[..., :LETTERS]
    return logits.log_softmax(-1).gather(-1, words[..., None]).squeeze(-1)


@dataclass(frozen=True)
class Rollouts:
    words: torch.Tensor
    old_log_probs: torch.Tensor
    advantage: torch.Tensor


class OnPolicy:
    """Each batch is drawn from the policy as it is now, and used for two steps."""

    def __init__(self, policy, batch_size=64):
        self.policy, self.batch_size, self.left, self.batch = policy, batch_size, 0, None

    def __iter__(self):
        return self

    def __next__(self):
        if self.left == 0:
            self.batch, self.left = self.roll_out(), 2
        self.left -= 1
        return self.batch

    @torch.no_grad()
    def roll_out(self):
        words = torch.empty(self.batch_size, 0, dtype=torch.long)
        for _ in range(LENGTH):
            start = torch.full((self.batch_size, 1), START)
            logits = self.policy(torch.cat([start, words], 1))[:, -1, :LETTERS]
            words = torch.cat([words, torch.multinomial(logits.softmax(-1), 1)], 1)
        gain = reward(words)
        return Rollouts(words, log_probs(self.policy, words), (gain - gain.mean()) / (gain.std() + 1e-6))

    def state_dict(self):
        return {"left": self.left, "batch": vars(self.batch) if self.batch else None}

    def load_state_dict(self, state):
        self.left = state["left"]
        self.batch = Rollouts(**state["batch"]) if state["batch"] else None


def clipped_surrogate(model, batch, clip=0.2):
    ratio = (log_probs(model, batch.words) - batch.old_log_probs).exp()
    advantage = batch.advantage[:, None]
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return Loss(-gain.sum(), gain.numel())


def make_policy():
    config = DecoderConfig(
        vocab_size=LETTERS + 1, d_model=16, n_layers=1, n_heads=2, max_seq_len=4, positions=Learned()
    )
    return Decoder(config, seed=0)


def train(policy, max_steps=60, **options):
    fit(policy, clipped_surrogate, OnPolicy(policy), max_steps=max_steps, lr=1e-2, **options)
    return policy


def expected_reward(policy):
    """Exactly, over all 64 words."""
    words = torch.tensor(list(itertools.product(range(LETTERS), repeat=LENGTH)))
    with torch.no_grad():
        return float((log_probs(policy, words).sum(-1).exp() * reward(words)).sum())


def test_the_policy_improves():
    before = make_policy()
    after = train(copy.deepcopy(before))
    assert expected_reward(before) < 0.8
    assert expected_reward(after) > 1.7  # 2 is the most there is


class Killed(BaseException):
    pass


def test_killed_and_resumed_it_ends_where_the_unbroken_run_ends(tmp_path):
    unbroken = train(make_policy(), max_steps=13)

    def kill(step, model):
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        train(make_policy(), max_steps=13, dir=tmp_path, checkpoint_seconds=0.0, after_step=[kill])
    resumed = train(make_policy(), max_steps=13, dir=tmp_path, checkpoint_seconds=0.0)
    for (name, a), (_, b) in zip(unbroken.named_parameters(), resumed.named_parameters()):
        assert torch.equal(a, b), name
