"""The fast cross-entropy against the plain one."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.objectives import token_loss
from allyouneed.objectives.cross_entropy import cross_entropy, cross_entropy_reference


def draw(items, vocab, seed=0, dtype=torch.float64, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(items, vocab, generator=generator, dtype=torch.float64)).to(dtype)
    targets = torch.randint(vocab, (items,), generator=generator)
    targets[torch.rand(items, generator=generator) < 0.3] = -100
    return logits.requires_grad_(), targets


def value_and_gradient(function, logits, targets, ignore=-100, label_smoothing=0.0):
    value = function(logits, targets, ignore, label_smoothing)
    return value, *torch.autograd.grad(2.5 * value, logits)


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 30),
    st.integers(1, 200),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.integers(0, 10**6),
)
def test_it_equals_the_reference_at_every_block_size_with_gradient(items, vocab, block, smoothing, seed):
    logits, targets = draw(items, vocab, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[cross_entropy.__module__], "CPU_BLOCK", block)
        found = value_and_gradient(cross_entropy, logits, targets, label_smoothing=smoothing)
    expected = value_and_gradient(cross_entropy_reference, logits, targets, label_smoothing=smoothing)
    for own, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(own, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_bf16_logits_lose_nothing_beyond_the_gradients_own_rounding(smoothing):
    logits, targets = draw(64, 500, dtype=torch.bfloat16)
    (value, gradient), (expected, expected_gradient) = (
        value_and_gradient(function, logits, targets, label_smoothing=smoothing)
        for function in (cross_entropy, cross_entropy_reference)
    )
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=2**-7, atol=1e-6)  # two roundings to 8 bits


def test_a_smoothed_target_is_a_distribution_over_the_whole_vocabulary():
    logits, targets = draw(9, 5)
    scored, smoothing = targets != -100, 0.3
    assert 0 < scored.sum() < 9
    wanted = torch.full((9, 5), smoothing / 5, dtype=torch.float64)
    wanted[scored, targets[scored]] += 1 - smoothing
    value, gradient = value_and_gradient(cross_entropy, logits, targets, label_smoothing=smoothing)
    torch.testing.assert_close(value, -(wanted * logits.log_softmax(1))[scored].sum())
    torch.testing.assert_close(gradient, 2.5 * (logits.softmax(1) - wanted) * scored[:, None])


@pytest.mark.parametrize("smoothing", [-0.1, 1.1])
def test_a_smoothing_out_of_range_is_an_error(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\]"):
        cross_entropy(*draw(2, 7), -100, smoothing)


def test_huge_logits_neither_overflow_nor_vanish():
    logits = torch.tensor([[1e4, 0.0, -1e4], [3e38, 0.0, 0.0]], requires_grad=True)
    value, gradient = value_and_gradient(cross_entropy, logits, torch.tensor([1, 0]))
    assert value == 1e4
    assert torch.equal(gradient, 2.5 * torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]))


def test_a_second_backward_pass_through_a_kept_graph_gives_the_same():
    logits, targets = draw(5, 7)
    value = cross_entropy(logits, targets, -100)
    first = torch.autograd.grad(2 * value, logits, retain_graph=True)
    assert torch.equal(first[0], torch.autograd.grad(2 * value, logits)[0])


def test_without_gradients_only_the_value_is_computed():
    logits, targets = draw(5, 7)
    with torch.inference_mode():
        value = cross_entropy(logits, targets, -100)
    torch.testing.assert_close(value, cross_entropy_reference(logits, targets, -100).detach())


def test_a_target_outside_the_vocabulary_is_an_error():
    logits, _ = draw(2, 7)
    for target in (7, -1):
        with pytest.raises((IndexError, RuntimeError), match="out of"):
            cross_entropy(logits, torch.tensor([0, target]), -100)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_nothing_scored_costs_nothing(smoothing):
    logits, _ = draw(3, 7)
    value, gradient = value_and_gradient(cross_entropy, logits, torch.full((3,), -100), label_smoothing=smoothing)
    assert value == 0
    assert not gradient.any()


def test_the_objectives_take_the_fast_path():
    logits, targets = draw(6, 7)
    loss = token_loss(logits.view(2, 3, 7), targets.view(2, 3))
    assert type(loss.total.grad_fn).__name__ == "_CrossEntropyBackward"
