"""Attention to a memory against its equation written out, and what its state and its record hold."""

import pytest
import torch

from allyouneed.blocks import Context
from allyouneed.blocks.attention import CrossAttention
from allyouneed.blocks.context import Memory
from allyouneed.blocks.protocols import PositionScheme, Sizes, State, Sublayer

SIZES = Sizes(10, 2, 4, 2, 3, 40, 64, norm_eps=1e-5, dropout=0.0)  # head_dim 3 is odd, and not d_model / n_heads
BATCH, SEQ, SOURCE = 3, 5, 6
VALID = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 1, 0, 1]], dtype=torch.bool)


class Untouchable(PositionScheme):
    """A scheme that fails if anybody asks it."""

    def rotate(self, q, k, ctx):
        raise AssertionError("cross-attention has no positions")

    def score_bias(self, ctx, key_positions):
        raise AssertionError("cross-attention has no positions")


def cross(bias=True):
    torch.manual_seed(0)
    block = CrossAttention(bias).build(SIZES, Untouchable()).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=1.0 if parameter.ndim > 1 else 0.5)
    return block


def inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCH, n, 10, generator=generator, dtype=torch.float64) for n in (SEQ, SOURCE)]


def attended(block, x, vectors, valid=None, record=None):
    y, _ = block(x, Context.of(x, causal=True, memory=Memory(vectors, valid), record=record))
    return y


def by_hand(block, x, vectors, valid):
    """One row, one head, one query at a time, over the real vectors alone; and the weights."""
    y, weights = [], torch.zeros(BATCH, 4, SEQ, SOURCE, dtype=torch.float64)
    for row in range(BATCH):
        real = valid[row].nonzero().flatten()
        for t in range(SEQ):
            heads = []
            for head in range(4):
                mine, shared = slice(3 * head, 3 * head + 3), slice(3 * (head // 2), 3 * (head // 2) + 3)
                query = block.q(x[row, t])[mine]
                scores = torch.stack([query @ block.k(vectors[row, s])[shared] for s in real]) / 3**0.5
                weights[row, head, t, real] = scores.softmax(0)
                values = torch.stack([block.v(vectors[row, s])[shared] for s in real])
                heads.append((scores.softmax(0)[:, None] * values).sum(0))
            y.append(block.out(torch.cat(heads)))
    return torch.stack(y).view(BATCH, SEQ, 10), weights


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_it_is_its_equation_and_so_are_its_gradients(bias, padded):
    block, (x, vectors) = cross(bias), inputs()
    valid = VALID if padded else torch.ones_like(VALID)
    x.requires_grad_()
    vectors.requires_grad_()
    leaves = [x, vectors, *block.parameters()]
    assert len(leaves) == (10 if bias else 6)
    expected, weights = by_hand(block, x, vectors, valid)
    record = {}
    y = attended(block, x, vectors, valid, record)
    close(y, expected)
    close(record["cross_attention"][0], weights)
    weighting = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours = torch.autograd.grad((y * weighting).sum(), leaves)
    for a, b in zip(ours, torch.autograd.grad((expected * weighting).sum(), leaves)):
        close(a, b)


def test_another_scale_is_that_of_scores_and_of_recorded_weights():
    block, (x, vectors) = cross(), inputs()
    other = CrossAttention(bias=True, scale=1.25).build(SIZES, Untouchable()).double()
    other.load_state_dict(block.state_dict())
    block.q.weight.data *= 1.25 * 3**0.5
    block.q.bias.data *= 1.25 * 3**0.5
    ours, by_query = {}, {}
    close(attended(other, x, vectors, VALID, ours), attended(block, x, vectors, VALID, by_query))
    close(ours["cross_attention"][0], by_query["cross_attention"][0])


def test_every_query_meets_all_that_is_real_and_nothing_else():
    block, (x, vectors) = cross(), inputs()
    vectors.requires_grad_()
    y = attended(block, x, vectors, VALID)
    for t in range(SEQ):
        (grad,) = torch.autograd.grad(y[:, t].square().sum(), vectors, retain_graph=True)
        assert torch.equal(grad.abs().amax(-1) > 0, VALID)


def test_a_memory_that_is_all_padding_gives_no_mixture_and_finite_gradients():
    block, (x, vectors) = cross(), inputs()
    valid = VALID.clone()
    valid[1] = False
    x.requires_grad_()
    vectors.requires_grad_()
    record = {}
    y = attended(block, x, vectors, valid, record)
    assert torch.equal(y[1], block.out.bias.expand(SEQ, -1))
    assert (record["cross_attention"][0][1] == 0).all()
    close(y[::2], attended(block, x, vectors, VALID)[::2])
    grads = torch.autograd.grad(y.square().sum(), [x, vectors, *block.parameters()])
    assert all(g.isfinite().all() for g in grads)
    assert (grads[0][1] == 0).all()
    assert (grads[1][1] == 0).all()
    assert (grads[0][0] != 0).any()


@pytest.mark.parametrize("valid", [None, VALID])
def test_the_recorded_weights_are_those_that_were_used(valid):
    block, (x, vectors) = cross(), inputs()
    record = {}
    y = attended(block, x, vectors, valid, record)
    attended(block, x, vectors, valid, record)
    first, second = record["cross_attention"]  # one entry a layer
    assert torch.equal(first, second)
    close(first.sum(-1), torch.ones(BATCH, 4, SEQ, dtype=torch.float64))
    values = block.v(vectors).unflatten(-1, (2, 3)).transpose(1, 2).repeat_interleave(2, dim=1)
    close(block.out((first @ values).transpose(1, 2).flatten(2)), y)
    assert torch.equal(attended(block, x, vectors, valid), y)  # a record changes nothing


def test_the_fused_kernel_gets_no_mask_where_nothing_is_hidden(fused):
    block, (x, vectors) = cross(), inputs()
    attended(block, x, vectors)
    attended(block, x, vectors, torch.ones_like(VALID))
    assert [call["attn_mask"] for call in fused] == [None, None]
    assert not any(call["is_causal"] for call in fused)


def test_layers_share_one_mask(fused):
    block, (x, vectors) = cross(), inputs()
    ctx = Context.of(x, causal=True, memory=Memory(vectors, VALID))
    block(x, ctx)
    block(x, ctx)
    assert fused[0]["attn_mask"] is fused[1]["attn_mask"]


def test_without_a_memory_it_says_what_is_missing():
    x, _ = inputs()
    with pytest.raises(ValueError, match=r"no memory to read: give the forward memory=.* new_state"):
        cross()(x, Context.of(x, causal=True))


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_the_state_keeps_what_the_memory_was_projected_to(mode):
    block, (x, vectors) = cross(), inputs()
    calls = []
    for linear in (block.k, block.v):
        linear.register_forward_hook(lambda *_: calls.append(1))
    memory = Memory(vectors, VALID)
    with mode():
        whole = attended(block, x, vectors, VALID)
        calls.clear()
        state, parts = block.new_state(BATCH, dtype=torch.float64), []
        assert state.lengths.tolist() == [0, 0, 0]
        for t in range(SEQ):
            y, state = block(x[:, t : t + 1], Context.of(x[:, t : t + 1], causal=True, memory=memory), state)
            parts.append(y)
        assert len(calls) == 2  # once each, not once a step
    close(torch.cat(parts, 1), whole)
    assert state.lengths.tolist() == VALID.sum(1).tolist()
    assert isinstance(state, State)
    assert isinstance(block, Sublayer)


def test_states_can_be_selected_and_gone_back_to():
    block, (x, vectors) = cross(), inputs()
    memory, rows = Memory(vectors, VALID), torch.tensor([2, 0, 0, 1])
    empty = block.new_state(BATCH, dtype=torch.float64)
    _, state = block(x, Context.of(x, causal=True, memory=memory), empty)
    assert empty.lengths.tolist() == [0, 0, 0]  # the state before stays true
    for before in (empty, state):  # selected before the memory was read, and after
        ctx = Context.of(x[rows], causal=True, memory=memory.select(rows))
        y, chosen = block(x[rows], ctx, before.select(rows))
        close(y, attended(block, x, vectors, VALID)[rows])
        assert chosen.lengths.tolist() == VALID.sum(1)[rows].tolist()
    back = state.restore(empty.snapshot())
    y, _ = block(x, Context.of(x, causal=True, memory=memory), back)
    close(y, attended(block, x, vectors, VALID))
