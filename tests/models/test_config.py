"""Sizes that follow from one another, and those that do not fit."""

import dataclasses

import pytest

from allyouneed.blocks import Rope
from allyouneed.models import DecoderConfig


def test_what_is_not_given_follows():
    sizes = DecoderConfig(vocab_size=10, positions=Rope(), d_model=48, n_heads=3).sizes
    assert (sizes.n_kv_heads, sizes.head_dim, sizes.d_ff) == (3, 16, 192)


def test_a_replaced_size_takes_those_that_follow_along():
    config = DecoderConfig(vocab_size=10, positions=Rope(), d_model=48, n_heads=3)
    assert dataclasses.replace(config, d_model=96).sizes.head_dim == 32


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"d_model": 50, "n_heads": 4}, "d_model 50 is not a multiple of n_heads 4"),
        ({"n_heads": 4, "n_kv_heads": 3}, "n_heads 4 is not a multiple of n_kv_heads 3"),
        ({"n_layers": 0}, "n_layers must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must lie in"),
    ],
)
def test_sizes_that_do_not_fit_are_errors(sizes, message):
    with pytest.raises(ValueError, match=message):
        DecoderConfig(vocab_size=10, positions=Rope(), **sizes)


def test_positions_have_to_be_named():
    with pytest.raises(TypeError, match="positions"):
        DecoderConfig(vocab_size=10)
