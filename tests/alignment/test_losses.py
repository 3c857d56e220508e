"""The preference losses against their closed forms, and the objective over them."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from allyouneed.adaptation import Lora, add_adapter, branches
from allyouneed.alignment import (
    LOSSES,
    OtherModel,
    Preference,
    apo_zero_loss,
    dpo_loss,
    hinge_loss,
    ipo_loss,
    logprobs_of,
    margin,
    robust_loss,
    sequence_logprobs,
    told_apart,
    without_adapters,
)
from allyouneed.blocks import Rope
from allyouneed.data.batch import IGNORE
from allyouneed.data.preferences.batches import encode_preferences
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.training import fit

BETA = 0.3


def four(n=50, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    drawn = -30 * torch.rand(4, n, generator=generator, dtype=torch.float64)
    return [row.requires_grad_(**settings) for row in drawn]


def model(seed=0, **sizes):
    config = DecoderConfig(vocab_size=11, d_model=16, n_layers=2, n_heads=2, positions=Rope(), **sizes)
    decoder = Decoder(config, seed=seed).double()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(3)
    return decoder


def pairs(n=7, seed=0):
    """Ragged: prompts of 1 to 4 tokens, answers of 1 to 6."""
    random = np.random.default_rng(seed)

    def text(prompt):
        answer = random.integers(1, 11, random.integers(1, 7)).tolist()
        return [*prompt, *answer], [False] * len(prompt) + [True] * len(answer)

    prompts = [random.integers(1, 11, random.integers(1, 5)).tolist() for _ in range(n)]
    return encode_preferences([(text(prompt), text(prompt)) for prompt in prompts])


def test_at_the_reference_dpo_is_log_2_and_the_others_what_they_are_at_0():
    chosen, rejected, *_ = four(requires_grad=False)
    same = (chosen, rejected, chosen, rejected)
    for loss, expected in (
        (dpo_loss, math.log(2)),
        (robust_loss, math.log(2)),
        (hinge_loss, 1.0),
        (apo_zero_loss, 1.0),
        (ipo_loss, 1 / (2 * BETA) ** 2),
    ):
        torch.testing.assert_close(loss(*same, BETA), torch.full_like(chosen, expected), rtol=1e-14, atol=0)


def test_dpos_gradient_is_the_formula_of_section_4():
    chosen, rejected, ref_chosen, ref_rejected = four()
    dpo_loss(chosen, rejected, ref_chosen, ref_rejected, BETA).sum().backward()
    wrong = torch.sigmoid(-BETA * margin(chosen, rejected, ref_chosen, ref_rejected))
    torch.testing.assert_close(chosen.grad, -BETA * wrong, rtol=1e-12, atol=0)
    torch.testing.assert_close(rejected.grad, BETA * wrong, rtol=1e-12, atol=0)


def test_robust_is_dpo_over_the_true_labels_on_average():
    values = four(requires_grad=False)
    turned = [values[1], values[0], values[3], values[2]]
    for flipped in (0.0, 0.1, 0.4):
        loss = partial(robust_loss, beta=BETA, flipped=flipped)
        mean = (1 - flipped) * loss(*values) + flipped * loss(*turned)
        torch.testing.assert_close(mean, dpo_loss(*values, BETA), rtol=1e-10, atol=0)  # a difference, times 5
    with pytest.raises(ValueError, match=r"flipped must lie in \[0, 0.5\)"):
        robust_loss(*values, BETA, flipped=0.5)


def test_where_ipo_and_hinge_want_no_more():
    at = torch.tensor([1 / (2 * BETA), 1 / BETA, 2 / BETA], dtype=torch.float64)
    zero = torch.zeros_like(at)
    assert float(ipo_loss(at, zero, zero, zero, BETA)[0]) == 0
    assert hinge_loss(at, zero, zero, zero, BETA).tolist() == pytest.approx([0.5, 0, 0])


def test_apo_zero_looks_at_each_answer_and_dpo_at_their_difference():
    values = four(requires_grad=False)
    lower = [values[0] - 5, values[1] - 5, *values[2:]]  # both answers less likely by as much
    torch.testing.assert_close(dpo_loss(*lower, BETA), dpo_loss(*values, BETA))
    assert not torch.allclose(apo_zero_loss(*lower, BETA), apo_zero_loss(*values, BETA))


def test_log_probabilities_of_answers_are_those_of_each_row_alone():
    policy, batch = model(), next(pairs().batches(7))
    tokens, targets = batch.tokens.flatten(0, 1), batch.targets.flatten(0, 1)
    found = sequence_logprobs(policy, tokens, targets)
    for row, (text, wanted) in enumerate(zip(tokens, targets)):
        length = int((wanted != IGNORE).nonzero().max()) + 1
        log_p = policy(text[None, :length]).log_softmax(-1)[0]
        expected = sum(log_p[i, wanted[i]] for i in range(length) if wanted[i] != IGNORE)
        torch.testing.assert_close(found[row], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_parts_of_a_batch_add_up_to_the_whole(name):
    policy, data = model(1), pairs()
    objective = replace(LOSSES[name](BETA), reference=OtherModel(model(0)))
    whole = objective(policy, next(data.batches(7)))
    parts = [objective(policy, batch) for batch in data.batches(3)]
    assert (whole.count, sum(part.count for part in parts)) == (7, 7)
    torch.testing.assert_close(whole.total, sum(part.total for part in parts))
    accuracy = sum(part.metrics["accuracy"] * part.count for part in parts) / 7
    torch.testing.assert_close(whole.metrics["accuracy"], accuracy)


def test_means_over_the_tokens_are_another_loss():
    policy, batch = model(1), next(pairs().batches(7))
    reference = OtherModel(model(0))
    ratios = sum_ratios = (
        sequence_logprobs(policy, batch.tokens.flatten(0, 1), batch.targets.flatten(0, 1))
        - sequence_logprobs(model(0), batch.tokens.flatten(0, 1), batch.targets.flatten(0, 1))
    ).unflatten(0, (-1, 2))
    ratios = sum_ratios / (batch.targets != IGNORE).sum(-1)
    expected = -torch.nn.functional.logsigmoid(BETA * (ratios[:, 0] - ratios[:, 1])).sum()
    found = replace(LOSSES["sigmoid_norm"](BETA), reference=reference)(policy, batch)
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(found.metrics["margin"], (ratios[:, 0] - ratios[:, 1]).mean())
    torch.testing.assert_close(found.metrics["chosen"], ratios[:, 0].mean())


def test_three_references_that_are_one():
    base, data = model(0), pairs()
    policy = model(0)
    add_adapter(policy, Lora(rank=2, targets=("*.mixer.q",)))
    with torch.no_grad():
        for branch in branches(policy, "default").values():
            branch.b.fill_(0.5)
    beforehand = next(data.with_reference(logprobs_of(base, data.batches(3))).batches(7))
    loss = Preference(partial(dpo_loss, beta=BETA))
    totals = [
        replace(loss, reference=reference)(policy, beforehand).total
        for reference in (without_adapters, OtherModel(base))
    ]
    totals.append(loss(policy, beforehand).total)
    assert float(totals[0].detach()) != pytest.approx(7 * math.log(2), rel=1e-3)
    for total in totals[1:]:
        torch.testing.assert_close(total, totals[0], rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match="carries no reference"):
        loss(policy, next(data.batches(7)))


def test_a_reference_has_no_dropout_and_no_gradients_and_leaves_the_mode_alone():
    base, batch = model(0, dropout=0.5), next(pairs().batches(7))
    base.train()
    first, again = (OtherModel(base)(base, batch) for _ in range(2))
    assert torch.equal(first, again)
    assert not first.requires_grad
    assert base.training


def test_fit_tells_the_pairs_apart():
    data = pairs(16)
    policy = model(0).float()
    reference = logprobs_of(policy, data.batches(16))
    assert not told_apart(policy, data.batches(5), reference).any()  # a tie prefers nothing
    known = data.with_reference(reference)
    result = fit(policy, LOSSES["sigmoid"](BETA), known.stream(8, 0), max_steps=30, lr=3e-3, weight_decay=0.0)
    assert result.log[0]["loss"] == pytest.approx(math.log(2))
    assert told_apart(policy, data.batches(5), reference).all()
    assert {"accuracy", "margin", "chosen"} <= result.log[-1].keys()
