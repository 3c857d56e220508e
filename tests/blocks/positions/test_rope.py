"""Rotary positions against what the paper says of them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allyouneed.blocks import Context, Rope
from allyouneed.blocks.positions import rope
from allyouneed.blocks.positions.rope import half_split_order, rope_angles, rope_frequencies, rotate
from allyouneed.blocks.protocols import Sizes

layouts = pytest.mark.parametrize("interleaved", [False, True])


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def scheme(head_dim=16, **options):
    sizes = Sizes(2 * head_dim, 2, 2, 2, head_dim, 8 * head_dim, 64, norm_eps=1e-5, dropout=0.0)
    return Rope(**options).build(sizes)


def turned(x, position, interleaved=False, theta=1e4):
    return rotate(x, rope_angles(torch.tensor(position), x.shape[-1], theta, torch.float64), interleaved)


def test_frequencies_are_those_of_equation_15():
    expected = [10000 ** (-2 * (i - 1) / 8) for i in range(1, 5)]
    torch.testing.assert_close(rope_frequencies(8), torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=0)


def test_one_step_turns_the_first_pair_by_one_radian():
    there = turned(torch.tensor([1.0, 0.0], dtype=torch.float64), 1)
    assert there.tolist() == pytest.approx([math.cos(1), math.sin(1)], abs=1e-15)


@layouts
@given(m=st.integers(0, 4096), n=st.integers(0, 4096), shift=st.integers(0, 4096), seed=st.integers(0, 99))
def test_scores_depend_on_the_distance_alone(interleaved, m, n, shift, seed):
    q, k = normal(2, 32, seed=seed)
    here = turned(q, m, interleaved) @ turned(k, n, interleaved)
    there = turned(q, m + shift, interleaved) @ turned(k, n + shift, interleaved)
    # an angle of 4096 radians carries a rounding error of 4096 * 1e-16
    assert abs(float(here - there)) < 1e-12 * float(q.norm() * k.norm())


@layouts
def test_scores_do_depend_on_the_distance(interleaved):
    q, k = normal(2, 32)
    scores = torch.stack([turned(q, 0, interleaved) @ turned(k, n, interleaved) for n in range(50)])
    assert scores.std() > 0.1 * q.norm() * k.norm() / math.sqrt(32)


@layouts
@given(position=st.integers(0, 10**6), seed=st.integers(0, 99))
def test_turning_keeps_the_length(interleaved, position, seed):
    x = normal(16, seed=seed)
    torch.testing.assert_close(turned(x, position, interleaved).norm(), x.norm(), rtol=1e-14, atol=0)


@layouts
def test_position_0_turns_nothing(interleaved):
    x = normal(3, 16)
    assert torch.equal(turned(x, 0, interleaved), x)


@given(position=st.integers(0, 10**6), pairs=st.integers(1, 8), extra=st.integers(0, 5))
def test_the_layouts_are_one_function_of_reordered_channels(position, pairs, extra):
    order = half_split_order(2 * pairs + extra, 2 * pairs)
    x = normal(4, 2 * pairs + extra)
    angles = rope_angles(torch.tensor(position), 2 * pairs, dtype=torch.float64)
    assert torch.equal(rotate(x, angles, True)[..., order], rotate(x[..., order], angles, False))
    assert torch.equal(x[..., order][..., order.argsort()], x)


def test_scores_agree_between_layouts_and_only_after_reordering():
    q, k = normal(2, 16)
    order = half_split_order(16, 16)
    paper = turned(q, 7, True) @ turned(k, 3, True)
    torch.testing.assert_close(turned(q[order], 7) @ turned(k[order], 3), paper, rtol=1e-14, atol=1e-14)
    assert abs(float(turned(q, 7) @ turned(k, 3) - paper)) > 0.01


@layouts
def test_channels_beyond_the_rotary_ones_stay_untouched(interleaved):
    x = normal(2, 5, 3, 7)
    ctx = Context.of(x.flatten(2), causal=True)
    q, _ = scheme(head_dim=7, partial_rotary_factor=0.6, interleaved=interleaved).rotate(x, x, ctx)
    assert torch.equal(q[..., 4:], x[..., 4:])
    assert (q[:, 1:, :, :4] != x[:, 1:, :, :4]).all()


@layouts
def test_a_million_positions_out_angles_are_exact(interleaved):
    position, pairs = 1_000_000, 4
    x = normal(2 * pairs)
    theirs = x.clone()
    for i in range(pairs):
        a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + pairs)
        angle = position * 10000.0 ** (-2 * i / (2 * pairs))
        theirs[a] = x[a] * math.cos(angle) - x[b] * math.sin(angle)
        theirs[b] = x[b] * math.cos(angle) + x[a] * math.sin(angle)
    # one rounding of an angle of 1e6 radians is 1e-10
    torch.testing.assert_close(turned(x, position, interleaved), theirs, rtol=0, atol=2e-10)


def test_under_bfloat16_angles_are_float32():
    x = normal(1, 1, 1, 16, dtype=torch.bfloat16)
    positions = torch.tensor([[257]])
    q, _ = scheme().rotate(x, x, Context.of(x.flatten(2), positions=positions, causal=True))
    assert q.dtype == torch.bfloat16
    exact = rotate(x.double(), rope_angles(positions, 16, dtype=torch.float64)[:, :, None])
    assert (q.double() - exact).abs().max() < 2**-8 * exact.abs().max()  # the rounding of the result alone
    coarse = rotate(x, rope_angles(positions, 16, dtype=torch.bfloat16)[:, :, None])
    assert (coarse.double() - exact).abs().max() > 0.1


def test_a_forward_computes_one_table_for_all_layers(monkeypatch):
    calls = []
    factors = rope._factors
    monkeypatch.setattr(rope, "_factors", lambda *args: calls.append(args) or factors(*args))
    shared, x = scheme(), normal(2, 5, 2, 16)
    ctx = Context.of(x.flatten(2), causal=True)
    for _ in range(3):
        shared.rotate(x, x, ctx)
    assert len(calls) == 1
    assert calls[0][0].shape == (1, 5, 1, 8)  # one row of positions while all rows are alike


def test_an_odd_head_may_turn_an_even_part():
    assert scheme(head_dim=5, partial_rotary_factor=0.8).rotary_dim == 4


@pytest.mark.parametrize(("head_dim", "factor"), [(5, 1.0), (16, 0.1), (16, 1.5), (16, 0.0)])
def test_channels_that_cannot_turn_are_an_error(head_dim, factor):
    with pytest.raises(ValueError, match=f"a head of {head_dim} channels cannot turn"):
        scheme(head_dim=head_dim, partial_rotary_factor=factor)


def test_an_odd_rotary_dim_is_an_error():
    with pytest.raises(ValueError, match="even and positive, got 7"):
        rope_frequencies(7)


def test_gradients_turn_back():
    x = normal(16).requires_grad_()
    upstream = normal(16, seed=1)
    turned(x, 11).backward(upstream)
    torch.testing.assert_close(turned(x.grad, 11), upstream, rtol=0, atol=1e-14)  # R^T = R^-1
