"""A reward model: it reads an answer to its end and no further, and its loss is Bradley and Terry's."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from allyouneed.alignment import RewardModel, answer_rewards, bradley_terry, reward_loss
from allyouneed.blocks import Rope
from allyouneed.data.preferences.batches import encode_preferences
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.training import fit

TEXTS = [
    (([1, 2, 3, 4, 5], [False, False, True, True, True]), ([1, 2, 9], [False, False, True])),
    (([7, 8], [False, True]), ([7, 3, 3, 3], [False, True, True, True])),
]


def reward_model():
    config = DecoderConfig(vocab_size=11, d_model=16, n_layers=1, n_heads=2, positions=Rope())
    return RewardModel(Decoder(config))


def loud():
    model = reward_model().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    return model


def test_an_answer_is_read_to_its_last_token_and_no_further():
    model = loud()
    found = answer_rewards(model, next(encode_preferences(TEXTS).batches(2)))
    for i, pair in enumerate(TEXTS):
        for j, (tokens, _) in enumerate(pair):
            alone = model(torch.tensor([tokens]), torch.tensor([len(tokens) - 1]))
            torch.testing.assert_close(found[i, j], alone[0], rtol=1e-12, atol=1e-12)


def test_the_loss_is_cross_entropy_with_the_preferred_as_the_label():
    chosen, rejected = torch.randn(2, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(chosen - rejected, torch.ones(20).double(), reduction="none")
    torch.testing.assert_close(reward_loss(chosen, rejected), expected)
    batch = next(encode_preferences(TEXTS).batches(2))
    model = loud()
    rewards = answer_rewards(model, batch)
    torch.testing.assert_close(bradley_terry(model, batch).total, reward_loss(rewards[:, 0], rewards[:, 1]).sum())


def test_it_starts_without_an_opinion_and_learns_one():
    random = np.random.default_rng(0)
    texts = [[1, *random.integers(2, 11, 5)] for _ in range(200)]
    scored = [False, *[True] * 5]
    # Preferred is the text with the larger first symbol.
    pairs = [
        sorted(((a, scored), (b, scored)), key=lambda text: -text[0][1])
        for a, b in zip(texts[::2], texts[1::2])
        if a[1] != b[1]
    ]
    data = encode_preferences([(one, other) for one, other in pairs])
    model = reward_model()
    result = fit(model, bradley_terry, data.stream(32, 0), max_steps=60, lr=1e-2, log_every=1)
    assert math.isclose(result.log[0]["loss"], math.log(2), rel_tol=1e-6)
    rewards = answer_rewards(model, next(data.batches(100)))
    assert float((rewards[:, 0] > rewards[:, 1]).float().mean()) > 0.9
