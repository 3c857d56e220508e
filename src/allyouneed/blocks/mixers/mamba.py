"""Mamba: a selective state space model.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, arXiv:2312.00752.

The idea: a linear recurrence with a state of constant size, whose step size and whose input and output maps follow
from the token that is read. So a token may choose to be kept, to be passed over, or to wipe what was there.

    x, z = in_proj(token)                       x = silu(conv(x))                  (figure 3)
    dt, B, C = x_proj(x)                        delta = softplus(dt_proj(dt))      (algorithm 2, section 3.6)
    h_t = exp(delta_t A) h_(t-1) + delta_t B_t x_t                                 (equations 2a and 4)
    y_t = C_t h_t + D x_t                       out(y silu(z))                     (equation 2b)

| here      | paper             | meaning                                                                             |
| --------- | ----------------- | ----------------------------------------------------------------------------------- |
| `d_inner` | E D (section 3.4) | channels that the recurrence runs over, each by itself; `expand` times d_model      |
| `d_state` | N                 | numbers that the state h holds for each channel                                     |
| `x`, `z`  | x                 | what the recurrence reads, and what gates its output                                |
| `delta`   | Delta             | how long a step is: near 0 the state stays, when large it is replaced               |
| `A`       | A                 | how fast each number of the state decays: negative, stored as `A_log` = log(-A)     |
| `B`, `C`  | B, C              | into the state and out of it; the same for all channels                             |
| `dt`      | s_Delta(x)        | `dt_rank` numbers (R in section 3.6) that `dt_proj` spreads over the channels       |
| `D`       |                   | what of x passes by the state: in the authors' code, not in the paper's equations   |
| `conv`    | Conv (figure 3)   | each channel's mixture of its last `d_conv` inputs                                  |

A is made discrete as the paper has it (zero-order hold, equation 4). B is not: the authors' code and all checkpoints
have delta B, equal to the paper's (exp(delta A) - 1) / A B up to the second order of delta.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.context import Context
from allyouneed.blocks.initial import GeneratorFor, OutputProjection
from allyouneed.blocks.linear import Linear
from allyouneed.blocks.mixers.reading import Reading
from allyouneed.blocks.mixers.scan import selective_scan
from allyouneed.blocks.protocols import PositionScheme, Sizes

SHORTEST, LONGEST = 1e-3, 1e-1  # delta at the start lies between them (section 3.6)


@dataclass(frozen=True)
class Mamba:
    """Selective state spaces; they know order without positions, and read from left to right in any context.

    d_inner: expand * d_model unless given. dt_rank: d_model / 16, rounded up, unless given.
    bias: of in_proj and out. conv_bias: of the convolution.

    Raises ValueError for sizes below 1.
    """

    d_state: int = 16
    d_conv: int = 4
    expand: int = 2
    d_inner: int | None = None
    dt_rank: int | None = None
    conv_bias: bool = True
    bias: bool = False

    def __post_init__(self) -> None:
        for name in ("d_state", "d_conv", "expand", "d_inner", "dt_rank"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")

    def build(self, sizes: Sizes, positions: PositionScheme) -> nn.Module:
        """A mixer of d_inner channels; the positions are not used."""
        return MambaMixer(sizes, self)


@dataclass(frozen=True, eq=False)
class MambaState:
    """What is kept of the tokens read: the same amount, however many they are. Nothing writes into it.

    tail: the convolution's last inputs, 0 where the document has had fewer.
    h: in float32 at least.
    """

    tail: Float[Tensor, "batch taps d_inner"]
    h: Float[Tensor, "batch d_inner d_state"]
    lengths: Int[Tensor, "batch"]

    def select(self, rows: Int[Tensor, "rows"]) -> "MambaState":
        """The given rows, in that order, repeated where `rows` repeats them."""
        return MambaState(self.tail[rows], self.h[rows], self.lengths[rows])

    def snapshot(self) -> "MambaState":
        """This state: what is read later does not change it."""
        return self

    def restore(self, snapshot: "MambaState") -> "MambaState":
        """The snapshot."""
        return snapshot


class MambaMixer(nn.Module):
    """The paper's block without its norm and residual, which are the layer's."""

    no_weight_decay = ("A_log",)  # a matrix, but of rates: pulled to 0 they would all become -1

    def __init__(self, sizes: Sizes, config: Mamba) -> None:
        super().__init__()
        d_inner = config.d_inner or config.expand * sizes.d_model
        dt_rank = config.dt_rank or math.ceil(sizes.d_model / 16)
        self.split = (dt_rank, config.d_state, config.d_state)
        self.in_proj = Linear(sizes.d_model, 2 * d_inner, bias=config.bias)
        self.conv = CausalConv(d_inner, config.d_conv, config.conv_bias)
        self.x_proj = Linear(d_inner, sum(self.split), bias=False)
        self.dt_proj = StepProjection(dt_rank, d_inner)
        self.A_log = nn.Parameter(torch.arange(1.0, config.d_state + 1).log().repeat(d_inner, 1))
        self.D = nn.Parameter(torch.ones(d_inner))
        self.out = OutputProjection(d_inner, sizes.d_model, config.bias, sizes.n_layers)

    def new_state(
        self, batch_size: int, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> MambaState:
        """Zeros; `dtype` is that of the convolution's inputs."""
        d_inner, d_state = self.A_log.shape
        tail = torch.zeros(batch_size, self.conv.width - 1, d_inner, device=device, dtype=dtype)
        h = torch.zeros(batch_size, d_inner, d_state, device=device, dtype=_exact(tail))
        return MambaState(tail, h, torch.zeros(batch_size, dtype=torch.long, device=device))

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], ctx: Context, state: MambaState | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], MambaState | None]:
        """What each token reads from the state, and the state after them. Padding is as though it were not there."""
        before = state if state is not None else self.new_state(len(x), x.device, x.dtype)
        reading = Reading.of(ctx, len(x))
        inputs, z = self.in_proj(reading.arrange(x)).chunk(2, dim=-1)
        joined = torch.cat((before.tail.to(inputs.dtype), inputs), dim=1)
        y, h = self._scan(F.silu(self.conv(joined, reading.together(self.conv.width))), before.h, reading)
        y = reading.put_back(self.out((y * F.silu(z)).to(z.dtype)))
        if state is None:
            return y, None
        return y, MambaState(reading.tail(joined, self.conv.width - 1), h, state.lengths + reading.counts)

    def _scan(
        self, x: Float[Tensor, "batch seq d_inner"], h: Float[Tensor, "batch d_inner d_state"], reading: Reading
    ) -> tuple[Float[Tensor, "batch seq d_inner"], Float[Tensor, "batch d_inner d_state"]]:
        """The recurrence over x with the parameters that x chooses, in float32 at least, on from h."""
        exact = _exact(x)
        dt, B, C = self.x_proj(x).split(self.split, dim=-1)
        delta = F.softplus(self.dt_proj(dt))
        if reading.valid is not None:
            delta = delta.masked_fill(~reading.valid[..., None], 0)  # a step of no length changes no state
        x, A = x.to(exact), -self.A_log.to(exact).exp()
        y, h = selective_scan(x, delta, A, B.to(exact), C.to(exact), h.to(exact), reading.opens)
        return y + self.D.to(exact) * x, h


class CausalConv(nn.Conv1d):
    """A convolution over time of each channel by itself, with the weights of PyTorch's: (d_inner, 1, d_conv).

    It starts uniform in +-1/sqrt(d_conv), its bias at 0.
    """

    def __init__(self, d_inner: int, d_conv: int, bias: bool) -> None:
        super().__init__(d_inner, d_inner, d_conv, groups=d_inner, bias=bias)
        self.width = d_conv

    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """Uniform weights, no bias."""
        _fill_uniform(self.weight, self.width**-0.5, generator_for("weight"))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        x: Float[Tensor, "batch inputs d_inner"],
        together: Bool[Tensor, "batch seq d_conv"] | None = None,
    ) -> Float[Tensor, "batch seq d_inner"]:
        """Each channel's sum over the `d_conv` inputs that end at a token, summed in float32 at least.

        x: d_conv - 1 inputs from before, then one for each token.
        together: False at inputs to leave out, which PyTorch's own convolution cannot; on a CPU it is no faster.
        """
        exact, seq = _exact(x), x.shape[1] - self.width + 1
        y = torch.zeros((), dtype=exact, device=x.device) if self.bias is None else self.bias.to(exact)
        for tap, weight in enumerate(self.weight.squeeze(1).to(exact).unbind(1)):
            part = x[:, tap : tap + seq] * weight
            y = y + (part if together is None else part.masked_fill(~together[..., tap, None], 0))
        return y.to(x.dtype)


class StepProjection(nn.Linear):
    """The linear that spreads dt over the channels, to be the softplus's argument.

    The bias is added in float32 at least: in bfloat16 a bias of -5 would be off by 1.5 %, and so would delta.
    It starts with weights uniform in +-1/sqrt(dt_rank), and so that delta, where dt is 0, is log-uniform between
    `SHORTEST` and `LONGEST`: the law of the authors' code, where section 3.6 has it uniform.
    """

    def __init__(self, dt_rank: int, d_inner: int) -> None:
        super().__init__(dt_rank, d_inner)

    @torch.no_grad()
    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """The bias is the inverse of the softplus, at the drawn delta."""
        _fill_uniform(self.weight, self.in_features**-0.5, generator_for("weight"))
        share = torch.rand(self.bias.shape, generator=generator_for("bias"), dtype=torch.float32, device="cpu")
        delta = SHORTEST * (LONGEST / SHORTEST) ** share
        self.bias.copy_(delta + (-torch.expm1(-delta)).log())

    def forward(self, dt: Float[Tensor, "batch seq dt_rank"]) -> Float[Tensor, "batch seq d_inner"]:
        """dt W^T + bias."""
        spread = F.linear(dt, self.weight)
        return spread.to(_exact(spread)) + self.bias


def _exact(x: Tensor) -> torch.dtype:
    """The precision of `x`, float32 if that is higher."""
    return torch.promote_types(x.dtype, torch.float32)


@torch.no_grad()
def _fill_uniform(parameter: Tensor, bound: float, generator: torch.Generator) -> None:
    """Draw `parameter` between -bound and bound, in float32 on the CPU as `fill_normal` does."""
    values = torch.rand(parameter.shape, generator=generator, dtype=torch.float32, device="cpu")
    parameter.copy_((2 * values - 1) * bound)
