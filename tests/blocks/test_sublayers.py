"""Norms, feed-forwards, residuals and the start of weights, against their equations."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from allyouneed.blocks import (
    GLU,
    Bilinear,
    Context,
    GeGLU,
    Gelu,
    LayerNorm,
    LMHead,
    MaskedLMHead,
    NoHead,
    Parallel,
    PostNorm,
    PreNorm,
    ReGLU,
    Relu,
    RMSNorm,
    Silu,
    SwiGLU,
)
from allyouneed.blocks.initial import OutputProjection, fill_normal, initialize, named_generator
from allyouneed.blocks.protocols import Sizes, State, Stateless, Sublayer

SIZES = Sizes(8, 3, 2, 2, 4, 20, 64, norm_eps=0.1, dropout=0.0)
X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CTX = Context.of(X, causal=True)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_layer_norm_is_its_equation():
    norm = LayerNorm().build(SIZES).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    centred = X - X.mean(-1, keepdim=True)
    close(norm(X), norm.weight * centred / (centred.square().mean(-1, keepdim=True) + 0.1).sqrt() + norm.bias)
    assert LayerNorm(bias=False).build(SIZES).bias is None


def test_rms_norm_is_its_equation():
    norm = RMSNorm().build(SIZES).double()
    nn.init.normal_(norm.weight)
    close(norm(X), norm.weight * X / (X.square().mean(-1, keepdim=True) + 0.1).sqrt())


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        (Relu(), F.relu),
        (Silu(), lambda x: x * torch.sigmoid(x)),
        (Gelu(), lambda x: x * torch.special.ndtr(x)),
        (Gelu(approximate="tanh"), lambda x: by_tanh(x)),
    ],
)
def test_a_plain_feed_forward_is_its_equation(config, activation):
    block = config.build(SIZES).double()
    state = object()
    y, after = block(X, CTX, state)
    hidden = activation(X @ block.up.weight.T + block.up.bias)
    close(y, hidden @ block.down.weight.T + block.down.bias)
    assert after is state


def by_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        (SwiGLU(), lambda x: x / (1 + (-x).exp())),
        (GLU(), lambda x: 1 / (1 + (-x).exp())),
        (Bilinear(), lambda x: x),
        (ReGLU(), lambda x: x.clamp(min=0)),
        (GeGLU(), lambda x: x * torch.special.ndtr(x)),
        (GeGLU(approximate="tanh"), by_tanh),
    ],
)
def test_a_gated_feed_forward_is_its_equation(config, activation):
    block = config.build(SIZES).double()
    y, _ = block(X, CTX)
    hidden = activation(X @ block.gate.weight.T) * (X @ block.up.weight.T)
    close(y, hidden @ block.down.weight.T)
    assert block.gate.bias is None
    assert type(config)(bias=True).build(SIZES).gate.bias is not None


def test_sublayers_side_by_side_read_the_same_stream():
    sublayers = {"mixer": Gelu().build(SIZES), "feedforward": Relu().build(SIZES)}
    layer = Parallel().build(SIZES, sublayers, LayerNorm()).double()
    for norm in layer.norms.values():
        nn.init.normal_(norm.weight)
    y, state = layer(X, CTX)
    parts = [layer.sublayers[name](layer.norms[name](X), CTX)[0] for name in sublayers]
    close(y, X + parts[0] + parts[1])
    assert state is None
    assert Parallel().final_norm


def test_rms_norm_casts_before_it_multiplies():
    """As the checkpoints in bfloat16 were trained; multiplying first gives other numbers."""
    norm = RMSNorm().build(SIZES).bfloat16()
    nn.init.normal_(norm.weight, 1)
    x = X.bfloat16()
    exact = x.float() * (x.float().square().mean(-1, keepdim=True) + 0.1).rsqrt()
    assert torch.equal(norm(x), norm.weight * exact.bfloat16())
    assert not torch.equal(norm(x), (norm.weight.float() * exact).bfloat16())


def test_heads_are_their_equations():
    matrix = torch.randn(11, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def unembed(hidden):
        return hidden @ matrix.T

    close(LMHead().build(SIZES, 11)(X, unembed), unembed(X))
    head = LMHead(bias=True, scale=0.5).build(SIZES, 11).double()
    nn.init.normal_(head.bias)
    close(head(X, unembed), 0.5 * unembed(X) + head.bias)
    masked = MaskedLMHead("relu").build(SIZES, 11).double()
    nn.init.normal_(masked.bias)
    close(masked(X, unembed), unembed(masked.norm(masked.dense(X).clamp(min=0))) + masked.bias)
    with pytest.raises(ValueError, match=r"model\.hidden"):
        NoHead().build(SIZES, 11)(X, unembed)


class Counter(nn.Module):
    """Adds its own constant and counts the forwards in its state."""

    def __init__(self, amount):
        super().__init__()
        self.amount = amount

    def new_state(self, batch_size, device=None, dtype=None):
        return 0

    def forward(self, x, ctx, state=None):
        return x * self.amount, None if state is None else state + 1


@pytest.mark.parametrize("config", [PreNorm(), PostNorm()])
def test_the_norm_stands_where_the_name_says(config):
    layer = config.build(SIZES, {"a": Counter(2.0), "b": Counter(-3.0)}, LayerNorm()).double()
    for norm in layer.norms.values():
        nn.init.normal_(norm.weight)
    x = X
    for amount, norm in zip((2.0, -3.0), layer.norms.values()):
        x = x + amount * norm(x) if isinstance(config, PreNorm) else norm(x + amount * x)
    y, state = layer(X, CTX, layer.new_state(2))
    close(y, x)
    assert state == (1, 1)
    assert layer(X, CTX)[1] is None


def test_only_pre_norm_leaves_something_to_normalise():
    assert PreNorm().final_norm
    assert not PostNorm().final_norm


class Unnormalised:
    """A norm's config whose norm hands on what it gets."""

    def build(self, sizes):
        return nn.Identity()


@pytest.mark.parametrize("config", [PreNorm(), PostNorm()])
def test_dropout_acts_on_what_is_added(config):
    sizes = Sizes(8, 3, 2, 2, 4, 20, 64, norm_eps=0.1, dropout=0.5)
    layer = config.build(sizes, {"a": Counter(1.0)}, Unnormalised())
    kept, dropped = layer.eval()(X, CTX)[0] - X, layer.train()(X, CTX)[0] - X
    assert (dropped == 0).any()
    assert torch.isclose(dropped, 2 * kept)[dropped != 0].all()


def test_blocks_have_the_shapes_that_the_protocols_ask_for():
    assert isinstance(Relu().build(SIZES), Sublayer)
    assert isinstance(Relu().build(SIZES), Stateless)
    assert Relu().build(SIZES).new_state(2) is None
    assert not isinstance(object(), State)


class Own(nn.Module):
    """A module with a law of its own beside a part that has none."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.full((2, 2), 7.0))
        self.special = nn.Parameter(torch.empty(3))
        self.inner = nn.Linear(3, 3)

    def init_parameters(self, generator_for):
        fill_normal(self.special, 1.0, generator_for("special"))


def test_weights_start_as_said():
    model = nn.ModuleDict({"linear": nn.Linear(200, 100), "table": nn.Embedding(100, 200), "norm": nn.LayerNorm(5)})
    model["output"] = OutputProjection(200, 100, True, n_layers=8)
    model["own"] = Own()
    initialize(model, seed=0)
    assert float(model["linear"].weight.detach().std()) == pytest.approx(200**-0.5, rel=0.03)
    assert float(model["table"].weight.detach().std()) == pytest.approx(200**-0.5, rel=0.03)
    assert float(model["output"].weight.detach().std()) == pytest.approx(200**-0.5 / 4, rel=0.03)
    assert (model["linear"].bias == 0).all()
    assert (model["output"].bias == 0).all()
    assert (model["norm"].weight == 1).all()
    assert (model["own"].scale == 7).all()
    expected = torch.randn(3, generator=named_generator(0, "own.special"))
    assert torch.equal(model["own"].special, expected)
    expected = torch.randn(3, 3, generator=named_generator(0, "own.inner.weight")) * 3**-0.5
    assert torch.equal(model["own"].inner.weight, expected)


def test_a_start_depends_on_seed_and_name_alone():
    wide, narrow = (nn.ModuleDict({name: nn.Linear(4, 4) for name in names}) for names in ("abc", "b"))
    initialize(wide, seed=3)
    before = torch.get_rng_state()
    initialize(narrow, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(wide["b"].weight, narrow["b"].weight)
    assert not torch.equal(wide["a"].weight, wide["b"].weight)
    initialize(narrow, seed=4)
    assert not torch.equal(wide["b"].weight, narrow["b"].weight)


def test_precision_does_not_change_the_draw():
    exact, coarse = nn.Linear(4, 4), nn.Linear(4, 4).bfloat16()
    initialize(exact, seed=0)
    initialize(coarse, seed=0)
    assert torch.equal(exact.weight.bfloat16(), coarse.weight)
