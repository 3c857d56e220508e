"""Rules for texts longer than those of training: what becomes of slow and of fast pairs."""

import math

import pytest
import torch

from allyouneed.blocks import Context, LinearScaling, Llama3Scaling, Rope, Yarn
from allyouneed.blocks.positions.rope import rope_frequencies
from allyouneed.blocks.protocols import Sizes

SIZES = Sizes(32, 1, 2, 2, 16, 8, 64, norm_eps=1e-5, dropout=0.0)
FREQUENCIES = rope_frequencies(64, 1e4)
WAVELENGTHS = 2 * math.pi / FREQUENCIES


def test_linear_divides_positions():
    x = torch.randn(1, 3, 2, 16, dtype=torch.float64)
    at = {"causal": True, "positions": torch.tensor([[0, 4, 8]])}
    scaled, _ = Rope(scaling=LinearScaling(4.0)).build(SIZES).rotate(x, x, Context.of(x.flatten(2), **at))
    plain, _ = (
        Rope().build(SIZES).rotate(x, x, Context.of(x.flatten(2), causal=True, positions=torch.tensor([[0, 1, 2]])))
    )
    assert torch.allclose(scaled, plain, atol=1e-12)


def test_llama3_keeps_short_waves_and_slows_long_ones():
    scaled, factor = Llama3Scaling(8.0, 1.0, 4.0, 512).scale(FREQUENCIES, 1e4)
    short, long = WAVELENGTHS < 512 / 4, WAVELENGTHS > 512
    assert factor == 1
    assert torch.equal(scaled[short], FREQUENCIES[short])
    assert torch.allclose(scaled[long], FREQUENCIES[long] / 8, rtol=1e-12)
    between = ~short & ~long
    assert between.sum() > 3
    assert (scaled[between] < FREQUENCIES[between]).all()
    assert (scaled[between] > FREQUENCIES[between] / 8).all()


def test_yarn_keeps_pairs_that_turn_often_and_sharpens():
    scaled, factor = Yarn(4.0, 512).scale(FREQUENCIES, 1e4)
    turns = 512 / WAVELENGTHS
    often, seldom = turns > 40, turns < 0.8
    assert factor == pytest.approx(0.1 * math.log(4) + 1)
    assert torch.equal(scaled[often], FREQUENCIES[often])
    assert torch.allclose(scaled[seldom], FREQUENCIES[seldom] / 4, rtol=1e-12)
    assert (scaled.diff() < 0).all()  # still each slower than the last
    assert Yarn(4.0, 512, attention_factor=1.5).scale(FREQUENCIES, 1e4)[1] == 1.5
    assert Yarn(0.5, 512).scale(FREQUENCIES, 1e4)[1] == 1


def test_a_factor_multiplies_what_turns():
    x = torch.randn(1, 3, 2, 16, dtype=torch.float64)
    ctx = Context.of(x.flatten(2), causal=True)
    rope = {"theta": 100.0, "partial_rotary_factor": 0.5}
    sharp, _ = Rope(**rope, scaling=Yarn(1.0, 64, attention_factor=1.25)).build(SIZES).rotate(x, x, ctx)
    plain, _ = Rope(**rope).build(SIZES).rotate(x, x, ctx)
    assert torch.allclose(sharp[..., :8], 1.25 * plain[..., :8], atol=1e-12)
    assert torch.equal(sharp[..., 8:], x[..., 8:])
