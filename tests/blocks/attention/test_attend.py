"""The fused attention against the plain one, and that it is taken without a mask where none is needed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from allyouneed.blocks import Attention, Context, NoPositions
from allyouneed.blocks.attention import Mask, attend, attend_reference
from allyouneed.blocks.protocols import PositionScheme, Sizes


def qkv(seed=0, batch=2, heads=4, kv_heads=4, queries=5, keys=5, dim=8):
    generator = torch.Generator().manual_seed(seed)
    shapes = (batch, heads, queries, dim), (batch, kv_heads, keys, dim), (batch, kv_heads, keys, dim)
    return [torch.randn(s, generator=generator, dtype=torch.float64).mul_(2).requires_grad_() for s in shapes]


def with_gradients(function, *inputs):
    """The output of `function` and the gradients of a fixed random weighting of it."""
    y = function(*inputs)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    return (y, *torch.autograd.grad((y * weights).sum(), inputs))


def assert_all_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_causal_equals_the_reference(kv_heads):
    inputs = qkv(kv_heads=kv_heads)
    lower = torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()
    ours = with_gradients(lambda q, k, v: attend(q, k, v, Mask(causal=True)), *inputs)
    assert_all_close(ours, with_gradients(lambda q, k, v: attend_reference(q, k, v, lower), *inputs))


@given(st.data(), st.sampled_from([4, 2, 1]), st.integers(1, 5), st.integers(1, 6))
def test_any_mask_equals_the_reference(data, kv_heads, queries, keys):
    inputs = qkv(kv_heads=kv_heads, queries=queries, keys=keys)
    allowed = torch.tensor(data.draw(st.lists(st.booleans(), min_size=2 * queries * keys, max_size=2 * queries * keys)))
    allowed = allowed.view(2, 1, queries, keys)
    ours = with_gradients(lambda q, k, v: attend(q, k, v, Mask.of(allowed)), *inputs)
    assert_all_close(ours, with_gradients(lambda q, k, v: attend_reference(q, k, v, allowed), *inputs))


def test_a_query_that_may_meet_no_key_gives_0_and_finite_gradients():
    inputs = qkv()
    allowed = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    allowed[0, 0, 2] = False
    for attention in (
        lambda q, k, v: attend(q, k, v, Mask.of(allowed)),
        lambda q, k, v: attend_reference(q, k, v, allowed),
    ):
        y, grad_q, grad_k, grad_v = with_gradients(attention, *inputs)
        assert (y[0, :, 2] == 0).all()
        assert (grad_q[0, :, 2] == 0).all()
        assert all(g.isfinite().all() for g in (y, grad_q, grad_k, grad_v))
        assert (y[0, :, 1] != 0).all()


def test_a_bias_is_added_to_the_scaled_scores():
    inputs, bias = qkv(), qkv(seed=3, dim=5)[0].detach()
    lower = torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()
    ours = with_gradients(lambda q, k, v: attend(q, k, v, Mask(causal=True), bias, 0.3), *inputs)
    assert_all_close(ours, with_gradients(lambda q, k, v: attend_reference(q, k, v, lower, bias, 0.3), *inputs))


def test_a_query_head_meets_the_key_head_of_its_own_group():
    q, k, v = (t.detach() for t in qkv(kv_heads=2))
    y = attend(q, k, v, Mask())
    for head in range(4):
        alone = attend_reference(q[:, head, None], k[:, head // 2, None], v[:, head // 2, None])
        torch.testing.assert_close(y[:, head, None], alone, rtol=0, atol=1e-12)


def mixer(positions=None, n_kv_heads=2):
    torch.manual_seed(0)
    sizes = Sizes(16, 1, 4, n_kv_heads, 4, 64, 64, norm_eps=1e-5, dropout=0.0)
    return Attention().build(sizes, positions or NoPositions().build(sizes))


@pytest.mark.parametrize("mask", [None, torch.ones(2, 7, dtype=torch.bool)])
def test_a_plain_causal_forward_makes_no_mask(fused, mask):
    x = torch.randn(2, 7, 16)
    mixer()(x, Context.of(x, mask, causal=True))
    assert fused[-1]["is_causal"]
    assert fused[-1]["attn_mask"] is None


def test_prefill_and_single_steps_make_no_mask(fused):
    x, attention = torch.randn(2, 7, 16), mixer()
    ctx = Context.of(x, causal=True)
    _, state = attention(x, ctx, attention.new_state(2))
    attention(x[:, :1], Context.of(x[:, :1], causal=True, past=ctx.after()), state)
    assert [call["is_causal"] for call in fused] == [True, False]
    assert all(call["attn_mask"] is None for call in fused)


def test_the_fused_kernel_is_what_runs():
    x = torch.randn(2, 7, 16, requires_grad=True)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        mixer()(x, Context.of(x, causal=True))
    names = {event.key for event in profile.key_averages()}
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in names


def test_layers_share_one_mask(fused):
    x, attention = torch.randn(2, 7, 16), mixer()
    ctx = Context.of(x, torch.arange(7)[None] >= torch.tensor([[0], [3]]), causal=True)
    attention(x, ctx)
    attention(x, ctx)
    assert fused[0]["attn_mask"] is fused[1]["attn_mask"]


def test_scores_are_scaled_by_the_root_of_head_dim():
    attention, x = mixer(n_kv_heads=4).double(), torch.randn(1, 6, 16, dtype=torch.float64)
    q, k, v = (p(x).view(1, 6, 4, 4).transpose(1, 2) for p in (attention.q, attention.k, attention.v))
    plain = attend_reference(q, k, v, scale=0.5)
    y, _ = attention(x, Context.of(x, causal=False))
    torch.testing.assert_close(y, attention.out(plain.transpose(1, 2).flatten(2)), rtol=0, atol=1e-12)


class Distance(PositionScheme):
    """A penalty on distance, as ALiBi's; it must see the cached keys' positions."""

    def score_bias(self, ctx, key_positions):
        return -0.5 * (ctx.positions[:, None, :, None] - key_positions[:, None, None, :]).abs().double()


@pytest.mark.parametrize("inference", [False, True])
def test_a_scheme_may_bias_scores_cached_or_not(inference):
    attention, x = mixer(Distance()).double(), torch.randn(2, 7, 16, dtype=torch.float64)
    mask = torch.arange(7)[None] >= torch.tensor([[0], [3]])
    whole, _ = attention(x, Context.of(x, mask, causal=True))
    unbiased, _ = mixer().double()(x, Context.of(x, mask, causal=True))
    state, past, parts = attention.new_state(2), None, []
    with torch.inference_mode(inference):
        for start, end in ((0, 4), (4, 5), (5, 7)):
            ctx = Context.of(x[:, start:end], mask[:, start:end], causal=True, past=past)
            y, state = attention(x[:, start:end], ctx, state)
            past = ctx.after()
            parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-12)
    assert (whole - unbiased).abs().max() > 1e-3


class Wider(PositionScheme):
    """Scores over more channels than a head has, all of them 0: nothing may change."""

    def rotate(self, q, k, ctx):
        return F.pad(q, (0, 3)), F.pad(k, (0, 3))


def test_channels_that_a_scheme_adds_do_not_change_the_scale():
    plain, wider, x = mixer().double(), mixer(Wider()).double(), torch.randn(2, 7, 16, dtype=torch.float64)
    expected, _ = plain(x, Context.of(x, causal=True))
    with torch.no_grad():
        ctx = Context.of(x[:, :4], causal=True)
        first, state = wider(x[:, :4], ctx, wider.new_state(2))
        second, _ = wider(x[:, 4:], Context.of(x[:, 4:], causal=True, past=ctx.after()), state)
    torch.testing.assert_close(torch.cat((first, second), 1), expected, rtol=0, atol=1e-12)


def test_another_scale_is_that_of_the_scores():
    """Queries that are k times as long give k times the scores."""
    sizes = Sizes(16, 1, 2, 2, 8, 64, 32, 1e-5, 0.0)
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ctx = Context.of(x, causal=True)
    plain = Attention().build(sizes, PositionScheme()).double()
    other = Attention(scale=0.9).build(sizes, PositionScheme()).double()
    other.load_state_dict(plain.state_dict())
    plain.q.weight.data *= 0.9 * 8**0.5
    torch.testing.assert_close(other(x, ctx)[0], plain(x, ctx)[0], rtol=0, atol=1e-12)
