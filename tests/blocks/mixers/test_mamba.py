"""The Mamba mixer: cached as uncached, blind to padding and to other documents, and its start."""

import math
from dataclasses import fields
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allyouneed.blocks import Context, Mamba, NoPositions, RMSNorm
from allyouneed.blocks.initial import named_generator
from allyouneed.blocks.mixers import scan
from allyouneed.blocks.protocols import Sizes, State, Sublayer
from allyouneed.generation import generate
from allyouneed.models import Decoder, DecoderConfig

SEQ = 12
CONFIGS = {
    "plain": Mamba(d_state=4),
    "biased": Mamba(d_state=3, d_conv=3, bias=True, dt_rank=2),
    "memoryless conv": Mamba(d_state=2, d_conv=1, d_inner=5),
    "wide conv": Mamba(d_conv=7, expand=1, conv_bias=False),
}
arms = pytest.mark.parametrize("arm", CONFIGS)


def sizes(d_model=6, n_layers=1):
    return Sizes(d_model, n_layers, 1, 1, d_model, 4 * d_model, 64, norm_eps=1e-5, dropout=0.0)


@cache
def mixer(arm="plain"):
    """In float64, with weights so large that a wrong step shows; steps of all lengths."""
    block = CONFIGS[arm].build(sizes(), NoPositions().build(sizes())).double()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in block.named_parameters():
        if name not in ("A_log", "D"):
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data = values * (2 / math.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 1)
    return block


def assert_close(a, b):
    """Float64 on both sides, in sums of another order: equal to 1e-12 of the largest value."""
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * max(1.0, float(b.detach().abs().max())))


def vectors(batch=2, seq=SEQ, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, seq, 6, generator=generator, dtype=torch.float64).requires_grad_()


def alone(block, x, real, segments):
    """Each document of each row read for itself, without padding; 0 elsewhere."""
    y = torch.zeros_like(x)
    for row in range(len(x)):
        for document in segments[row].unique():
            places = (real[row] & (segments[row] == document)).nonzero().squeeze(1)
            if len(places):
                piece = x[row : row + 1, places]
                y = y.index_put((torch.tensor(row), places), block(piece, Context.of(piece, causal=True))[0][0])
    return y


def in_chunks(block, x, real, segments, cuts):
    state, past, parts = block.new_state(len(x), dtype=x.dtype), None, []
    for start, end in zip([0, *cuts], [*cuts, SEQ]):
        at = slice(start, end)
        told = None if segments is None else segments[:, at]
        ctx = Context.of(x[:, at], real[:, at], segments=told, causal=True, past=past)
        y, state = block(x[:, at], ctx, state)
        past = ctx.after()
        parts.append(y)
    return torch.cat(parts, 1), state


def weighted_gradients(block, y, real, x):
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=y.dtype)
    return torch.autograd.grad((y * weights)[real].sum(), [x, *block.parameters()], materialize_grads=True)


def at_places(most):
    """True at up to `most` places of the two rows."""
    return st.sets(st.integers(0, 2 * SEQ - 1), max_size=most).map(
        lambda places: torch.tensor([p in places for p in range(2 * SEQ)]).view(2, SEQ)
    )


@settings(max_examples=60, deadline=None)
@given(
    arm=st.sampled_from(sorted(CONFIGS)),
    cuts=st.lists(st.integers(1, SEQ - 1), unique=True).map(sorted),
    padding=st.none() | at_places(2 * SEQ),
    opens=st.none() | at_places(5),
)
def test_chunks_padding_and_documents_change_no_value_and_no_gradient(arm, cuts, padding, opens):
    block, x = mixer(arm), vectors()
    real = torch.ones(2, SEQ, dtype=torch.bool) if padding is None else ~padding
    segments = None if opens is None else opens.cumsum(1)
    expected = alone(block, x, real, torch.zeros(2, SEQ) if segments is None else segments)
    whole, none = block(x, Context.of(x, real, segments=segments, causal=True))
    cached, state = in_chunks(block, x, real, segments, cuts)
    assert none is None
    assert state.lengths.tolist() == real.sum(1).tolist()
    if not real.any():
        return
    gradients = weighted_gradients(block, expected, real, x)
    for y in (whole, cached):
        assert_close(y[real], expected[real])
        for mine, theirs in zip(weighted_gradients(block, y, real, x), gradients):
            assert_close(mine, theirs)


def test_a_document_goes_on_from_one_chunk_to_the_next():
    block, x = mixer(), vectors(1)
    segments = torch.tensor([[1] * 5 + [2] * 7])
    expected = alone(block, x, torch.ones(1, SEQ, dtype=torch.bool), segments)
    first = Context.of(x[:, :6], segments=segments[:, :6], causal=True)
    _, state = block(x[:, :6], first, block.new_state(1, dtype=x.dtype))
    untold = Context.of(x[:, 6:], causal=True, past=first.after())
    assert_close(block(x[:, 6:], untold, state)[0], expected[:, 6:])


@pytest.mark.parametrize("real", [[1, 1, 0, 0, 1, 1], [0, 1, 1, 1, 0, 0], [1, 0, 1, 1, 0, 1], [0] * 6])
def test_padding_that_stands_in_other_documents_opens_none(real):
    """Moved behind the row's tokens, padding is followed by the next chunk, which goes on in the last document."""
    block, x = mixer(), vectors(1, 8)
    real = torch.tensor([[*map(bool, real), True, True]])
    segments = torch.tensor([[3, 3, 3, 3, 4, 4, 4, 4]]).where(real, 9)
    ctx = Context.of(x[:, :6], real[:, :6], segments=segments[:, :6], causal=True)
    _, state = block(x[:, :6], ctx, block.new_state(1, dtype=x.dtype))
    last = ctx.after().segment if real[:, :6].any() else torch.tensor([0])
    more = Context.of(x[:, 6:], segments=last[:, None].expand(1, 2), causal=True, past=ctx.after())
    told = torch.cat((segments[:, :6], last[:, None].expand(1, 2)), 1)
    assert_close(block(x[:, 6:], more, state)[0], alone(block, x, real, told)[:, 6:])


@arms
def test_no_output_depends_on_a_later_input(arm):
    x = vectors()
    y, _ = mixer(arm)(x, Context.of(x, causal=True))
    for t in range(SEQ):
        (grad,) = torch.autograd.grad(y[:, t].square().sum(), x, retain_graph=True)
        assert (grad[:, t + 1 :] == 0).all()
        assert (grad[:, : t + 1].abs().amax(-1) > 0).all()


@torch.no_grad()
def test_a_state_stays_true_whatever_is_read_after_it():
    block, x = mixer(), vectors(3)
    ctx = Context.of(x, torch.arange(SEQ)[None] >= torch.tensor([[0], [3], [SEQ]]), causal=True)
    _, state = block(x, ctx, block.new_state(3, dtype=x.dtype))
    before = [getattr(state, f.name).clone() for f in fields(state)]
    more = Context.of(x[:, :4], causal=True, past=ctx.after())
    expected, after = block(x[:, :4], more, state)
    again, _ = block(x[:, :4], more, after.restore(state.snapshot()))
    assert torch.equal(again, expected)
    assert all(torch.equal(getattr(state, f.name), kept) for f, kept in zip(fields(state), before))
    assert state.lengths.tolist() == [SEQ, SEQ - 3, 0]
    assert after.lengths.tolist() == [SEQ + 4, SEQ + 1, 4]


@torch.no_grad()
def test_selected_rows_go_on_as_if_alone():
    block, x = mixer(), vectors(3)
    ctx = Context.of(x[:, :8], causal=True)
    _, state = block(x[:, :8], ctx, block.new_state(3, dtype=x.dtype))
    rows = torch.tensor([2, 0, 0, 1])
    rest = x[rows, 8:]
    y, after = block(rest, Context.of(rest, causal=True, past=ctx.after().select(rows)), state.select(rows))
    whole, _ = block(x, Context.of(x, causal=True))
    assert_close(y, whole[rows, 8:])
    assert after.lengths.tolist() == [SEQ] * 4


@arms
@torch.no_grad()
def test_the_state_has_one_size_and_keeps_nothing_larger_alive(arm):
    block, x = mixer(arm), vectors()
    empty = block.new_state(2, dtype=x.dtype)
    for seq in (1, 2, SEQ):
        _, state = block(x[:, :seq], Context.of(x[:, :seq], causal=True), empty)
        for held, at_first in ((state.tail, empty.tail), (state.h, empty.h)):
            assert held.shape == at_first.shape
            assert held.untyped_storage().nbytes() == held.numel() * 8


def test_mixer_and_state_are_what_the_frame_asks_for():
    assert isinstance(mixer(), Sublayer)
    assert isinstance(mixer().new_state(1), State)


@pytest.mark.parametrize("weights", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_state_is_in_float32_at_least(weights):
    block = Mamba().build(sizes(), NoPositions().build(sizes())).to(weights)
    x = vectors().to(weights)
    y, state = block(x, Context.of(x, causal=True), block.new_state(2, dtype=weights))
    exact = torch.promote_types(weights, torch.float32)
    assert (y.dtype, state.tail.dtype, state.h.dtype) == (weights, weights, exact)
    assert block.new_state(2, dtype=weights).h.dtype == exact


def test_autocast_rounds_the_products_and_not_the_scan(monkeypatch):
    seen = []
    plain = scan._Scan.apply
    monkeypatch.setattr(scan._Scan, "apply", lambda *inputs: seen.extend(inputs) or plain(*inputs))
    block = Mamba().build(sizes(), NoPositions().build(sizes()))
    x = vectors().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = block(x, Context.of(x, causal=True), block.new_state(2))
        y, state = block(x[:, :1], Context.of(x[:, :1], causal=True), state)  # the tail is in bfloat16 by now
    assert {v.dtype for v in seen if v is not None} == {torch.float32}
    assert y.dtype == state.tail.dtype == torch.bfloat16
    assert state.h.dtype == torch.float32
    y.sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in block.parameters())


def test_steps_are_as_long_in_bfloat16_as_their_bias_says():
    """A bias of -5 has steps of 1/32 in bfloat16: added there, it would swallow what dt says."""
    block = Mamba().build(sizes(64), NoPositions().build(sizes(64)))
    dt = torch.linspace(-0.02, 0.02, 9).expand(1, 4, 9).mT.contiguous()
    block.dt_proj.weight.data.fill_(0.25)
    block.dt_proj.bias.data.fill_(-5.0)
    exact = block.dt_proj(dt)
    rounded = block.dt_proj.bfloat16()(dt.bfloat16())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0, atol=1e-4)  # 2^-9 of 0.02


def graph_size(y):
    seen, todo = set(), [y.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo.extend(parent for parent, _ in node.next_functions)
    return len(seen), {node.name() for node in seen}


def test_the_block_runs_the_fast_path_and_no_gradient_runs_through_a_loop():
    sizes_of_graphs = set()
    for seq in (2, 5, 40):
        x = vectors(seq=seq)
        y, _ = mixer()(x, Context.of(x, causal=True))
        size, names = graph_size(y)
        sizes_of_graphs.add(size)
        assert "_ScanBackward" in names
    assert len(sizes_of_graphs) == 1


@torch.no_grad()
def test_prefill_runs_the_fast_path_and_a_single_step_the_plain_one(monkeypatch):
    calls = []

    def spied(name, form):
        return lambda *inputs: calls.append(name) or form(*inputs)

    monkeypatch.setattr(scan._Scan, "apply", spied("fast", scan._Scan.apply))
    monkeypatch.setattr(scan, "selective_scan_reference", spied("plain", scan.selective_scan_reference))
    block, x = mixer(), vectors()
    ctx = Context.of(x, causal=True)
    _, state = block(x, ctx, block.new_state(2, dtype=x.dtype))
    block(x[:, :1], Context.of(x[:, :1], causal=True, past=ctx.after()), state)
    assert calls == ["fast", "plain"]


def test_layers_share_what_follows_from_the_context():
    x = vectors()
    ctx = Context.of(x, torch.arange(SEQ)[None] >= torch.tensor([[0], [3]]), causal=True)
    mixer()(x, ctx)
    made = dict(ctx._made)
    mixer("biased")(x, ctx)
    assert ctx._made.keys() == made.keys()
    assert all(ctx._made[key] is made[key] for key in made)


# The start


def model(n_layers=2, seed=0, **mamba):
    return Decoder(
        DecoderConfig(
            vocab_size=11,
            d_model=40,
            n_layers=n_layers,
            n_heads=1,
            positions=NoPositions(),
            norm=RMSNorm(),
            mixer=Mamba(**mamba),
            feedforward=None,
        ),
        seed=seed,
    )


def test_sizes_follow_from_d_model_unless_given():
    def shapes(**mamba):
        block = Mamba(**mamba).build(sizes(40), NoPositions().build(sizes(40)))
        return {name: tuple(parameter.shape) for name, parameter in block.named_parameters()}

    assert shapes() == {
        "A_log": (80, 16),
        "D": (80,),
        "in_proj.weight": (160, 40),
        "conv.weight": (80, 1, 4),
        "conv.bias": (80,),
        "x_proj.weight": (3 + 32, 80),
        "dt_proj.weight": (80, 3),
        "dt_proj.bias": (80,),
        "out.weight": (40, 80),
    }
    other = shapes(d_inner=50, expand=7, dt_rank=5, d_state=2, conv_bias=False, bias=True)
    assert other["in_proj.weight"] == (100, 40)
    assert other["x_proj.weight"] == (9, 50)
    assert (other["in_proj.bias"], other["out.bias"]) == ((100,), (40,))
    assert "conv.bias" not in other


@torch.no_grad()
def test_it_starts_by_its_law():
    block = model().layers[0].sublayers["mixer"]
    assert torch.equal(block.D, torch.ones(80))
    torch.testing.assert_close(block.A_log.exp(), torch.arange(1.0, 17).expand(80, -1))
    delta = torch.nn.functional.softplus(block.dt_proj.bias.double())
    assert 1e-3 * (1 - 1e-4) <= delta.min() < 2e-3  # the bias is in float32
    assert 5e-2 < delta.max() <= 1e-1
    # Half of the channels below the geometric middle, as log-uniform has it; uniform would have 9 in 100.
    assert 25 <= int((delta < 1e-2).sum()) <= 55
    for weight, bound in ((block.dt_proj.weight, 3**-0.5), (block.conv.weight, 4**-0.5)):
        assert 0.9 * bound < weight.abs().max() <= bound
        assert abs(float(weight.std()) - bound / math.sqrt(3)) < 0.1 * bound
    assert not block.conv.bias.any()
    assert abs(float(block.out.weight.std()) / (80 * 4) ** -0.5 - 1) < 0.1


def test_the_start_follows_from_seed_and_name_alone():
    before = torch.random.get_rng_state()
    first, deeper, other = (
        dict(m.named_parameters()) for m in (model(), model(n_layers=3, conv_bias=False), model(seed=1))
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    for name in first.keys() & deeper.keys():
        if not name.endswith("out.weight"):  # it starts smaller in a deeper stack
            assert torch.equal(first[name], deeper[name]), name
    drawn = [name for name in first if not name.endswith(("A_log", "D", "conv.bias")) and "norm" not in name]
    assert all(not torch.equal(first[name], other[name]) for name in drawn)
    path = "layers.1.sublayers.mixer.dt_proj.weight"
    values = torch.rand(80, 3, generator=named_generator(0, path))
    assert torch.equal(first[path], (2 * values - 1) * 3**-0.5)


@pytest.mark.parametrize("name", ["d_state", "d_conv", "expand", "d_inner", "dt_rank"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        Mamba(**{name: 0})


# In a model


def test_a_left_padded_batch_generates_what_each_prompt_alone_does():
    decoder = model(d_state=4).double()
    for parameter in decoder.parameters():  # large weights: greedy choices differ from step to step
        if parameter.ndim > 1:
            parameter.data.mul_(3)
    prompts = [torch.tensor([1, 2, 3, 4, 5]), torch.tensor([7, 8]), torch.tensor([9])]
    padded = torch.stack([torch.cat([torch.zeros(5 - len(p), dtype=torch.long), p]) for p in prompts])
    mask = torch.stack([torch.arange(5) >= 5 - len(p) for p in prompts])
    together = generate(decoder, padded, mask=mask, max_new_tokens=12, temperature=0.0)
    assert len(set(together[:, 5:].flatten().tolist())) > 2
    for row, prompt in enumerate(prompts):
        single = generate(decoder, prompt[None], max_new_tokens=12, temperature=0.0)
        assert single[0, len(prompt) :].tolist() == together[row, 5:].tolist()


def test_a_state_filled_in_inference_mode_may_be_trained_on_from():
    decoder, tokens = model(), torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(0))
    state = decoder.new_state(2)
    with torch.inference_mode():
        decoder(tokens[:, :4], state=state)
    logits = decoder(tokens[:, 4:], state=state)
    logits.square().sum().backward()
    torch.testing.assert_close(logits, decoder(tokens)[:, 4:], rtol=0, atol=1e-5)  # float32
