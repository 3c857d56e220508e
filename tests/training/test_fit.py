"""The loop itself: gradients, accumulation, clipping, precision, what it tells and what it refuses."""

from dataclasses import dataclass
from itertools import repeat

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.objectives import Loss
from allyouneed.training import NonFiniteLoss, constant, fit


@dataclass(frozen=True)
class Scored:
    """A batch as a dataclass: inputs, targets, and which rows of which columns count."""

    inputs: Tensor
    targets: Tensor
    scored: Tensor
    note: str = "not a tensor"


def squares(model, batch):
    errors = (model(batch.inputs)[..., 0] - batch.targets).square()
    return Loss((errors * batch.scored).sum(), batch.scored.sum(), {"bias": model.bias.mean()})


def ragged_batch(scored, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = scored.shape
    inputs = torch.randn(rows, columns, 3, generator=generator, dtype=torch.float64)
    return Scored(inputs, torch.randn(rows, columns, generator=generator, dtype=torch.float64), scored)


def linear(dtype=torch.float64):
    model = nn.Linear(3, 1, dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -1.0, 2.0]]))
        model.bias.fill_(0.25)
    return model


def gradients_of(batch, **settings):
    """The gradients that the first update sees, unclipped unless asked."""
    seen = {}

    def note(step, model):
        seen.update({name: parameter.grad.clone() for name, parameter in model.named_parameters()})

    fit(linear(), squares, repeat(batch), max_steps=1, lr=0.1, after_step=[note], **{"grad_clip": None} | settings)
    return seen


def test_the_gradient_is_that_of_the_mean_over_scored_items():
    batch = ragged_batch(torch.tensor([[True, False], [True, True], [False, False]]))
    model = linear()
    errors = (model(batch.inputs)[..., 0] - batch.targets).square()
    errors[batch.scored].mean().backward()
    found = gradients_of(batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_accumulation_equals_the_full_batch_however_ragged_and_with_a_short_last_part(data):
    rows, columns = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 4))
    scored = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns)))
    scored[0] = True
    batch = ragged_batch(scored.view(rows, columns))
    whole = gradients_of(batch)
    parts = gradients_of(batch, micro_batch_size=data.draw(st.integers(1, rows)))
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=0, atol=1e-12)


def test_what_is_logged_does_not_depend_on_the_micro_batches_either():
    batch = ragged_batch(torch.tensor([[True, True], [True, False], [False, False]]))
    logs = [
        fit(linear(), squares, repeat(batch), max_steps=3, lr=0.1, log_every=1, micro_batch_size=size).log
        for size in (None, 2)
    ]
    for whole, parts in zip(*logs, strict=True):
        assert parts == pytest.approx(whole, rel=1e-12)
    assert logs[0][0]["bias"] == 0.25


def test_tuples_and_lists_of_tensors_are_batches_too():
    def objective(model, batch):
        (inputs, [targets]) = batch
        return Loss((model(inputs)[:, 0] - targets).square().sum(), len(targets))

    batch = (torch.randn(5, 3), [torch.randn(5)])
    logs = [
        fit(linear(torch.float32), objective, repeat(batch), max_steps=2, lr=0.1, micro_batch_size=n) for n in (None, 2)
    ]
    assert logs[0].loss == pytest.approx(logs[1].loss, rel=1e-5)  # float32 sums in another order


def test_tensors_of_a_batch_must_share_their_leading_axis():
    batch = (torch.randn(5, 3), torch.randn(4))
    with pytest.raises(ValueError, match=r"share one leading axis, got lengths \[4, 5\]"):
        fit(linear(), squares, repeat(batch), max_steps=1, lr=0.1, micro_batch_size=2)


def test_clipping_shortens_the_gradient_to_the_bound_and_keeps_its_direction():
    batch = ragged_batch(torch.ones(4, 2, dtype=torch.bool))
    free, clipped = gradients_of(batch), gradients_of(batch, grad_clip=0.01)
    free, clipped = (torch.cat([g.flatten() for g in gradients.values()]) for gradients in (free, clipped))
    assert free.norm() > 0.1
    torch.testing.assert_close(clipped, free * 0.01 / free.norm(), rtol=1e-4, atol=0)  # torch's 1e-6 beside the norm


def test_a_short_gradient_is_not_stretched():
    batch = ragged_batch(torch.ones(4, 2, dtype=torch.bool))
    free, clipped = gradients_of(batch), gradients_of(batch, grad_clip=1e6)
    assert all(torch.equal(free[name], clipped[name]) for name in free)


def test_a_training_equals_a_loop_written_by_hand():
    batches = [ragged_batch(torch.ones(4, 2, dtype=torch.bool), seed) for seed in range(6)]
    model = linear()
    fit(model, squares, iter(batches), max_steps=6, lr=0.1, warmup_steps=2, schedule=constant, grad_clip=0.5)

    by_hand = linear()
    optimizer = torch.optim.AdamW(
        [{"params": [by_hand.weight], "weight_decay": 0.1}, {"params": [by_hand.bias], "weight_decay": 0.0}],
        betas=(0.9, 0.95),
    )
    for step, batch in enumerate(batches, start=1):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * min(1.0, step / 2)
        optimizer.zero_grad()
        squares(by_hand, batch).mean.backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
        optimizer.step()
    for mine, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_it_logs_the_first_step_every_so_many_and_the_last():
    told = []
    batch = ragged_batch(torch.ones(2, 2, dtype=torch.bool))
    result = fit(
        linear(), squares, repeat(batch), max_steps=11, lr=0.1, log_every=4, log=lambda **entry: told.append(entry)
    )
    assert [entry["step"] for entry in told] == [1, 4, 8, 11]
    assert told == result.log
    assert set(told[0]) == {"step", "loss", "lr", "grad_norm", "bias"}
    assert result.loss == told[-1]["loss"]


def test_bf16_computes_in_bf16_and_keeps_float32_weights_and_moments():
    seen = []

    def objective(model, batch):
        output = model(batch)
        seen.append(output.dtype)
        return Loss(output.float().square().sum(), len(batch))

    model = nn.Linear(8, 8)

    def check(step, model):
        assert {p.dtype for p in model.parameters()} == {p.grad.dtype for p in model.parameters()} == {torch.float32}

    before = model.weight.detach().clone()
    # a rate so low that bf16 weights (8 bits of mantissa) could not take the step
    fit(model, objective, repeat(torch.randn(4, 8)), max_steps=1, lr=1e-6, precision="bf16", after_step=[check])
    assert seen == [torch.bfloat16]
    assert 0 < (model.weight - before).abs().max() < 1e-5


def test_dropout_follows_the_seed_alone(tiny):
    batch = {"tokens": torch.arange(12).view(2, 6) % 11, "targets": torch.arange(1, 13).view(2, 6) % 11}

    def losses(seed):
        torch.rand(seed + 5)  # whatever was drawn before does not matter
        return fit(tiny.TinyLM(0.5), tiny.next_token, repeat(batch), max_steps=3, lr=0.1, log_every=1, seed=seed).log

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


def test_a_frozen_parameter_stays(tiny):
    model = tiny.TinyLM()
    model.norm.weight.requires_grad_(False)
    batch = {"tokens": torch.zeros(2, 3, dtype=torch.long), "targets": torch.ones(2, 3, dtype=torch.long)}
    fit(model, tiny.next_token, repeat(batch), max_steps=2, lr=0.1)
    assert torch.equal(model.norm.weight, torch.ones(8))
    assert not torch.equal(model.norm.bias, torch.zeros(8))


def test_an_infinite_gradient_of_a_finite_loss_stops_before_the_weights_are_touched():
    class RootAtZero(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

    model = RootAtZero()
    with pytest.raises(NonFiniteLoss, match=r"step 1: the loss is 0.0, the norm of its gradient inf; no checkpoint"):
        fit(model, lambda m, batch: Loss(next(m.parameters()).sqrt(), 1), repeat(torch.zeros(1)), max_steps=2, lr=0.1)
    assert model.weight == 0


def test_a_batch_that_scores_nothing_is_an_error():
    with pytest.raises(ValueError, match="scored nothing"):
        fit(linear(), squares, repeat(ragged_batch(torch.zeros(2, 2, dtype=torch.bool))), max_steps=1, lr=0.1)


def test_a_stream_that_ends_early_is_an_error():
    batch = ragged_batch(torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="ended before step 3"):
        fit(linear(), squares, iter([batch, batch]), max_steps=5, lr=0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_steps": 0}, "max_steps"),
        ({"warmup_steps": 9}, "warmup_steps must lie in 0 .. max_steps"),
        ({"micro_batch_size": 0}, "micro_batch_size must be at least 1, got 0"),
        ({"log_every": 0}, "log_every"),
    ],
)
def test_settings_out_of_range_are_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        fit(linear(), squares, repeat(None), **{"max_steps": 5, "lr": 0.1} | wrong)


def test_training_learns():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 3, generator=generator)
    targets = inputs @ torch.tensor([1.0, 2.0, 3.0])

    def objective(model, batch):
        return Loss(F.mse_loss(model(batch[0])[:, 0], batch[1], reduction="sum"), len(batch[1]))

    model = linear(torch.float32)
    result = fit(model, objective, repeat((inputs, targets)), max_steps=300, lr=0.1, weight_decay=0.0)
    assert result.loss < 1e-3 < result.log[0]["loss"]
