"""The window: what a query meets, how far layers together reach, and what the state still holds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.blocks import Attention, Context, Rope
from allyouneed.blocks.attention import attend_reference
from allyouneed.blocks.attention.masks import WINDOW_BLOCK
from allyouneed.blocks.context import Past
from allyouneed.blocks.protocols import Sizes
from allyouneed.models import Decoder, DecoderConfig

SIZES = Sizes(
    d_model=12, n_layers=1, n_heads=4, n_kv_heads=2, head_dim=6, d_ff=8, max_seq_len=64, norm_eps=1e-5, dropout=0.0
)


def mixer(window, seed=0):
    """One with the weights of `seed`, whatever its window."""
    torch.manual_seed(seed)
    return Attention(window=window).build(SIZES, Rope().build(SIZES)).double()


def draws(batch, seq, seed=0):
    return torch.randn(batch, seq, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def allowed(valid, segments, window):
    """Row by row and pair by pair: the valid tokens of the document up to this one, and the last of them."""
    batch, seq = valid.shape
    table = torch.zeros(batch, 1, seq, seq, dtype=torch.bool)
    for row in range(batch):
        for query in range(seq):
            met = [key for key in range(query + 1) if valid[row, key]]
            near = met[-window:] if valid[row, query] else met[-(window - 1) :] if window > 1 else []
            for key in near:
                table[row, 0, query, key] = segments[row, key] == segments[row, query]
    return table


def brute_force(layer, x, ctx, table):
    q = layer.q(x).unflatten(-1, (4, 6))
    k, v = (projection(x).unflatten(-1, (2, 6)) for projection in (layer.k, layer.v))
    q, k = layer.positions.rotate(q, k, ctx)
    y = attend_reference(*(t.transpose(1, 2) for t in (q, k, v)), table, scale=layer.scale)
    return layer.out(y.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("window", [1, 2, 5, WINDOW_BLOCK - 1, WINDOW_BLOCK + 3, 1000])
@pytest.mark.parametrize("seq", [4, WINDOW_BLOCK, 2 * WINDOW_BLOCK + 7])
def test_a_query_meets_itself_and_those_just_before_it(window, seq):
    layer, x = mixer(window), draws(1, seq).requires_grad_()
    ctx = Context.of(x, causal=True)
    band = torch.ones(seq, seq, dtype=torch.bool).tril().triu(1 - window)[None, None]
    y, _ = layer(x, ctx)
    expected = brute_force(layer, x, ctx, band)
    assert torch.allclose(y, expected, atol=1e-12)
    (ours,), (theirs,) = (torch.autograd.grad(t.square().sum(), x) for t in (y, expected))
    assert torch.allclose(ours, theirs, atol=1e-11)


def in_chunks(layer, x, valid, segments, sizes):
    """The outputs of `layer` over chunks of the given sizes, and its state at the end."""
    state, past, outputs, at = layer.new_state(len(x), dtype=x.dtype), Past.none(), [], 0
    while at < x.shape[1]:
        part = slice(at, at + sizes[len(outputs) % len(sizes)])
        ctx = Context.of(x[:, part], valid[:, part], segments=segments[:, part], causal=True, past=past)
        y, state = layer(x[:, part], ctx, state)
        past, at = ctx.after(), part.stop
        outputs.append(y)
    return torch.cat(outputs, 1), state


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_in_chunks_with_padding_anywhere_and_documents(data):
    window, seq = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 30))
    bits = data.draw(st.lists(st.booleans(), min_size=2 * seq, max_size=2 * seq))
    valid = torch.tensor(bits).view(2, seq)
    segments = (torch.tensor(data.draw(st.lists(st.integers(0, 5), min_size=2 * seq, max_size=2 * seq))) == 0).long()
    segments = segments.view(2, seq).cumsum(1)
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    layer, x = mixer(window), draws(2, seq)
    with torch.set_grad_enabled(data.draw(st.booleans())):
        y, state = in_chunks(layer, x, valid, segments, sizes)
        whole = Context.of(x, valid, segments=segments, causal=True)
        expected = brute_force(layer, x, whole, allowed(valid, segments, window))
    assert torch.allclose(y[valid], expected[valid], atol=1e-12)
    assert state.lengths.tolist() == valid.sum(1).tolist()
    assert state.used <= window - 1
    rows = torch.tensor([1, 0, 1])
    assert state.select(rows).lengths.tolist() == valid.sum(1)[rows].tolist()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_layers_together_reach_a_window_further_each(layers):
    """L (W - 1) + 1 tokens, and not one more."""
    window, seq = 4, 20
    config = DecoderConfig(vocab_size=5, positions=Rope(), n_layers=layers, mixer=Attention(window=window))
    model = Decoder(config).double()
    x = torch.randn(1, seq, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model.hidden(x)[0, -1, 0].backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(-1) > 0
    assert reached.nonzero().min() == seq - (layers * (window - 1) + 1)


def test_a_text_ten_times_the_window_needs_the_memory_of_two_at_most():
    window = 300
    layer, past, places = mixer(window), Past.none(), set()
    with torch.inference_mode():
        state = layer.new_state(1, dtype=torch.float64)
        for length in (7 * window, *[1] * (3 * window)):
            ctx = Context.of(torch.zeros(1, length, 12), causal=True, past=past)
            _, state = layer(draws(1, length), ctx, state)
            past = ctx.after()
            assert state.used == window - 1
            assert state.buffer.keys.shape[2] <= 2 * window
            places.add(state.buffer.keys.data_ptr())
    assert state.lengths.tolist() == [10 * window]
    assert len(places) < 3 * window / 30  # most steps moved nothing


def test_an_older_state_stays_true_while_another_goes_on():
    layer, x = mixer(3), draws(1, 9)
    with torch.inference_mode():
        ones = torch.ones(1, 9, dtype=torch.bool)
        whole, _ = in_chunks(layer, x, ones, ones.long(), [9])
        state, past = layer.new_state(1, dtype=torch.float64), Past(torch.zeros(1, dtype=torch.long))
        for part in (slice(0, 4), slice(4, 6)):
            ctx = Context.of(x[:, part], causal=True, past=past)
            _, state = layer(x[:, part], ctx, state)
            past = ctx.after()
        saved = state.snapshot()
        for _ in range(5):
            ctx = Context.of(x[:, :2], causal=True, past=past)
            _, state = layer(x[:, :2], ctx, state)
        y, _ = layer(x[:, 6:], Context.of(x[:, 6:], causal=True, past=past), state.restore(saved))
    assert torch.allclose(y, whole[:, 6:], atol=1e-12)


def test_what_cannot_be_a_window_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Attention(window=0)
    with pytest.raises(ValueError, match="left to right"):
        mixer(2)(draws(1, 5), Context.of(draws(1, 5), causal=False))
