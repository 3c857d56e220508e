"""T5's buckets and bias: the published values, the reference's, and that only distances matter."""

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from allyouneed.blocks import Context, RelativeBias
from allyouneed.blocks.positions.relative_bias import relative_bucket
from allyouneed.blocks.protocols import Sizes

SIZES = Sizes(12, 1, 3, 3, 4, 8, 64, norm_eps=1e-5, dropout=0.0)
GOLDEN = {-1: 1, -7: 7, -8: 8, -12: 9, -16: 10, -23: 11, -32: 12, -46: 13, -64: 14, -90: 14, -91: 15, -5000: 15}
GOLDEN |= {0: 0, 1: 17, 64: 30, 91: 31, 5000: 31}
GOLDEN_CAUSAL = {-15: 15, -16: 16, -32: 21, -64: 26, -112: 30, -113: 31, -9999: 31, 0: 0, 1: 0, 77: 0}


@pytest.mark.parametrize(("golden", "causal"), [(GOLDEN, False), (GOLDEN_CAUSAL, True)])
def test_known_buckets(golden, causal):
    found = relative_bucket(torch.tensor([*golden]), 32, 128, causal)
    assert found.tolist() == [*golden.values()]


@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (32, 64), (16, 20), (8, 11), (12, 1000)])
@pytest.mark.parametrize("causal", [True, False])
def test_buckets_are_the_references(n_buckets, max_distance, causal):
    distance = torch.arange(-3000, 3000)
    theirs = T5Attention._relative_position_bucket(distance, not causal, n_buckets, max_distance)
    assert torch.equal(relative_bucket(distance, n_buckets, max_distance, causal), theirs)


@pytest.mark.parametrize("causal", [True, False])
def test_the_bias_is_of_distances(causal):
    scheme = RelativeBias(8, 11).build(SIZES)
    x = torch.zeros(1, 6, 12)
    ctx = Context.of(x, causal=causal)
    bias = scheme.score_bias(ctx, ctx.positions)
    assert bias.shape == (1, 3, 6, 6)
    for query in range(6):
        for key in range(6):
            bucket = relative_bucket(torch.tensor(key - query), 8, 11, causal)
            assert torch.equal(bias[0, :, query, key], scheme.table.weight[bucket])
    later = Context.of(x[:, :2], positions=torch.tensor([[104, 105]]), causal=causal)
    shifted = scheme.score_bias(later, torch.arange(100, 106)[None])
    assert torch.equal(shifted, bias[:, :, 4:])
    assert scheme.score_bias(ctx, ctx.positions) is bias  # one for all layers


def test_sizes_without_wide_buckets_are_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        RelativeBias(n_buckets=6)
    with pytest.raises(ValueError, match="more than half"):
        RelativeBias(n_buckets=32, max_distance=16)
