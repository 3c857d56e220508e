"""Positions that enter with the embeddings."""

import math

import pytest
import torch

from allyouneed.blocks import Context, Learned, NoPositions, Sinusoidal
from allyouneed.blocks.positions.sinusoidal import sinusoids
from allyouneed.blocks.protocols import Sizes

SIZES = Sizes(8, 1, 2, 2, 4, 16, max_seq_len=6, norm_eps=1e-5, dropout=0.0)


def context(x, **options):
    return Context.of(x, causal=True, **options)


def test_sinusoids_are_those_of_section_3_5():
    table = sinusoids(torch.arange(50), 8, dtype=torch.float64)
    for pos, i in ((0, 0), (1, 0), (7, 2), (49, 3)):
        angle = pos / 10000 ** (2 * i / 8)
        assert table[pos, 2 * i : 2 * i + 2].tolist() == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-14)


def test_a_step_is_the_same_linear_map_everywhere():
    table = sinusoids(torch.arange(40), 8, dtype=torch.float64)
    step = torch.linalg.lstsq(table[:30], table[5:35]).solution
    torch.testing.assert_close(table[:35] @ step, table[5:40], rtol=0, atol=1e-10)


def test_sinusoidal_scales_embeddings_by_the_root_of_d_model():
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    there = Sinusoidal().build(SIZES).embed(x, context(x))
    torch.testing.assert_close(there - sinusoids(torch.arange(5), 8, dtype=torch.float64), math.sqrt(8) * x)


def test_odd_d_model_has_no_pairs_of_sine_and_cosine():
    with pytest.raises(ValueError, match="even, got 7"):
        sinusoids(torch.arange(3), 7)


def test_learned_adds_the_vector_of_each_position():
    scheme, x = Learned().build(SIZES), torch.randn(2, 3, 8)
    positions = torch.tensor([[0, 1, 2], [3, 3, 5]])
    there = scheme.embed(x, context(x, positions=positions))
    torch.testing.assert_close(there - x, scheme.table.weight[positions])


def test_a_position_without_a_learned_vector_is_an_error():
    scheme, x = Learned().build(SIZES), torch.randn(2, 7, 8)
    with pytest.raises(ValueError, match="position 6 has no learned vector: max_seq_len is 6"):
        scheme.embed(x, context(x))


def test_no_positions_change_nothing():
    scheme, x = NoPositions().build(SIZES), torch.randn(2, 3, 8)
    assert scheme.embed(x, context(x)) is x
    assert scheme.score_bias(context(x), torch.arange(3)[None]) is None
    assert not list(scheme.parameters())
