"""U-Net: convolutions on the way down to a small picture and up again, each level joined to its own on the way up.

Ronneberger et al., 2015, arXiv:1505.04597; for diffusion Ho et al., arXiv:2006.11239, appendix B: residual blocks that
are told the time, group normalisation, attention between pixels where pictures are small. Down and up:

    x -> conv_in -> [residual (attention) ... shrink] x levels -> residual attention residual
      -> [residual (attention) ... grow] x levels, where each residual also reads what its twin on the way down gave
      -> norm -> conv_out

Layers that end a branch, and the last one, start at 0 (as the paper's do), so that a new net answers 0.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.attention import Attention
from allyouneed.blocks.context import Context
from allyouneed.blocks.initial import GeneratorFor, fill_normal
from allyouneed.blocks.linear import Linear
from allyouneed.blocks.positions import NoPositions
from allyouneed.blocks.protocols import Sizes
from allyouneed.models.stack import drawn_from


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Sizes of a U-Net.

    height, width: of its pictures, which must halve evenly at each level. channels: of each level, finest first.
    down_attention, up_attention: whether the level of that number (finest first, in both) has attention between pixels
    on the way down and up. mid_attention: whether the middle has. head_dim: of the attention; None for one head.
    norm_groups, norm_eps: of every group normalisation. dropout: inside the residual blocks.
    frequency_shift: the slowest wave of the time's embedding turns 10000^((half - 1) / (half - frequency_shift)) times
    slower than the fastest; the paper has 1, diffusers 0. cosine_first: its order, cosines before sines.
    even_padding: what shrinks pads on all four sides; the paper's pads right and below only.

    Raises ValueError for sizes that do not fit one another.
    """

    height: int
    width: int
    in_channels: int = 1
    out_channels: int = 1
    channels: tuple[int, ...] = (32, 64)
    layers_per_level: int = 1
    down_attention: tuple[bool, ...] = (False, False)
    up_attention: tuple[bool, ...] = (False, False)
    mid_attention: bool = True
    head_dim: int | None = None
    norm_groups: int = 8
    norm_eps: float = 1e-5
    dropout: float = 0.0
    frequency_shift: int = 0
    cosine_first: bool = True
    even_padding: bool = True

    def __post_init__(self) -> None:
        levels = len(self.channels)
        if not levels or not len(self.down_attention) == len(self.up_attention) == levels:
            raise ValueError(f"channels, down_attention and up_attention must be as many, at least 1: {self}")
        if self.layers_per_level < 1:
            raise ValueError(f"layers_per_level must be at least 1, got {self.layers_per_level}")
        for channels in self.channels:
            if channels % self.norm_groups or (self.head_dim is not None and channels % self.head_dim):
                raise ValueError(
                    f"{channels} channels must divide into norm_groups {self.norm_groups} and head_dim {self.head_dim}"
                )
        if self.height % 2 ** (levels - 1) or self.width % 2 ** (levels - 1):
            raise ValueError(f"pictures of {self.height} x {self.width} cannot be halved {levels - 1} times")


class UNet(nn.Module):
    """What a picture's noise looks like, at a time.

    Weights are drawn from `seed`, each by its own name; None lets PyTorch's global generator draw the seed.
    """

    def __init__(self, config: UNetConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        with drawn_from(seed, self):
            self._build(config)

    def _build(self, config: UNetConfig) -> None:
        first, last, n = config.channels[0], config.channels[-1], len(config.channels)
        self.time = TimeEmbedding(config)
        self.conv_in = Convolution(config.in_channels, first, 3)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips = [first]  # channels of what the way down leaves for the way up
        for level, channels in enumerate(config.channels):
            shrink = level < n - 1
            read = [skips[-1]] + [channels] * (config.layers_per_level - 1)
            smaller = Shrink(channels, config.even_padding) if shrink else None
            self.down.append(Descent(config, read, channels, config.down_attention[level], smaller))
            skips += [channels] * (config.layers_per_level + shrink)
        self.middle = Middle(config, last)
        above = last
        for level, channels in reversed(list(enumerate(config.channels))):
            read = []
            for _ in range(config.layers_per_level + 1):
                read.append(above + skips.pop())
                above = channels
            larger = Grow(channels) if level else None
            self.up.append(Ascent(config, read, channels, config.up_attention[level], larger))
        self.norm_out = group_norm(config, first)
        self.conv_out = Convolution(first, config.out_channels, 3, ends_branch=True)

    def forward(
        self, xt: Float[Tensor, "batch in_channels height width"], t: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch out_channels height width"]:
        """The answer for pictures `xt` at the steps `t`. Raises ValueError for pictures that cannot be halved."""
        halvings = 2 ** (len(self.config.channels) - 1)
        if xt.shape[2] % halvings or xt.shape[3] % halvings:
            raise ValueError(f"height and width must be multiples of {halvings}, got {tuple(xt.shape[2:])}")
        time = self.time(t, xt.dtype)
        x = self.conv_in(xt)
        skips = [x]
        for level in self.down:
            x = level(x, time, skips)
        x = self.middle(x, time)
        for level in self.up:
            x = level(x, time, skips)
        return self.conv_out(F.silu(self.norm_out(x)))


class Convolution(nn.Conv2d):
    """Convolution that keeps the size unless told otherwise.

    Its weights start from N(0, 1 / inputs), or at 0 where it ends a branch.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        ends_branch: bool = False,
    ) -> None:
        super().__init__(channels, out, kernel, stride, kernel // 2 if padding is None else padding)
        self.ends_branch = ends_branch

    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """The start."""
        std = 0.0 if self.ends_branch else self.weight[0].numel() ** -0.5
        fill_normal(self.weight, std, generator_for("weight"))
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class TimeEmbedding(nn.Module):
    """Waves of the step's number, through two layers."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        width = config.channels[0]
        self.width, self.shift, self.cosine_first = width, config.frequency_shift, config.cosine_first
        self.first, self.second = Linear(width, 4 * width), Linear(4 * width, 4 * width)

    def forward(self, t: Int[Tensor, "batch"], dtype: torch.dtype) -> Float[Tensor, "batch time"]:
        """Angles are computed in float32 at least."""
        half, exact = self.width // 2, torch.promote_types(dtype, torch.float32)
        powers = torch.arange(half, dtype=exact, device=t.device) / (half - self.shift)
        angles = t[:, None].to(exact) * torch.exp(-math.log(10000) * powers)
        waves = (angles.cos(), angles.sin()) if self.cosine_first else (angles.sin(), angles.cos())
        return self.second(F.silu(self.first(torch.cat(waves, dim=1).to(dtype))))


class Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + time))); where the number of channels changes, x through a 1 x 1."""

    def __init__(self, config: UNetConfig, channels: int, out: int) -> None:
        super().__init__()
        self.norm1 = group_norm(config, channels)
        self.conv1 = Convolution(channels, out, 3)
        self.time = Linear(4 * config.channels[0], out)
        self.norm2 = group_norm(config, out)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = Convolution(out, out, 3, ends_branch=True)
        self.shortcut = Convolution(channels, out, 1) if channels != out else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch channels height width"], time: Float[Tensor, "batch time"]
    ) -> Float[Tensor, "batch out height width"]:
        """The time is added to every pixel alike."""
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class PixelAttention(nn.Module):
    """x + attention among all pixels of norm(x)."""

    def __init__(self, config: UNetConfig, channels: int) -> None:
        super().__init__()
        head_dim = config.head_dim or channels
        n_heads = channels // head_dim
        self.norm = group_norm(config, channels)
        sizes = Sizes(
            d_model=channels,
            n_layers=1,
            n_heads=n_heads,
            n_kv_heads=n_heads,
            head_dim=head_dim,
            d_ff=channels,
            max_seq_len=config.height * config.width,
            norm_eps=config.norm_eps,
            dropout=0.0,
        )
        self.mixer = Attention(bias=True).build(sizes, NoPositions().build(sizes))

    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """Nothing comes out at first."""
        nn.init.zeros_(self.mixer.get_parameter("out.weight"))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Pixels are read row by row; their order is nothing to the attention."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        mixed, _ = self.mixer(pixels, Context.of(pixels, causal=False))
        return x + mixed.transpose(1, 2).unflatten(2, x.shape[2:])


class Level(nn.Module):
    """Residual blocks at one size, each perhaps with attention behind it, and what leads to the next size."""

    def __init__(
        self, config: UNetConfig, read: list[int], channels: int, attention: bool, resize: nn.Module | None
    ) -> None:
        super().__init__()
        self.residuals = nn.ModuleList(Residual(config, n, channels) for n in read)
        self.attentions = nn.ModuleList(PixelAttention(config, channels) if attention else nn.Identity() for _ in read)
        self.resize = resize


class Descent(Level):
    """One on the way down."""

    def forward(
        self, x: Float[Tensor, "batch channels height width"], time: Float[Tensor, "batch time"], skips: list[Tensor]
    ) -> Float[Tensor, "batch out half_h half_w"]:
        """What each part gives is also put on top of `skips`."""
        for residual, attention in zip(self.residuals, self.attentions):
            x = attention(residual(x, time))
            skips.append(x)
        if self.resize is not None:
            x = self.resize(x)
            skips.append(x)
        return x


class Ascent(Level):
    """One on the way up."""

    def forward(
        self, x: Float[Tensor, "batch channels height width"], time: Float[Tensor, "batch time"], skips: list[Tensor]
    ) -> Float[Tensor, "batch out twice_h twice_w"]:
        """Each residual block reads what lies on top of `skips` beside x, and takes it away."""
        for residual, attention in zip(self.residuals, self.attentions):
            x = attention(residual(torch.cat((x, skips.pop()), dim=1), time))
        return x if self.resize is None else self.resize(x)


class Middle(nn.Module):
    """Two residual blocks at the smallest size, attention between them."""

    def __init__(self, config: UNetConfig, channels: int) -> None:
        super().__init__()
        self.residuals = nn.ModuleList(Residual(config, channels, channels) for _ in range(2))
        self.attention = PixelAttention(config, channels) if config.mid_attention else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch channels height width"], time: Float[Tensor, "batch time"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The coarsest look at the picture."""
        return self.residuals[1](self.attention(self.residuals[0](x, time)), time)


class Shrink(nn.Module):
    """Half the height and width, by a convolution of stride 2."""

    def __init__(self, channels: int, even_padding: bool) -> None:
        super().__init__()
        self.even_padding = even_padding
        self.conv = Convolution(channels, channels, 3, stride=2, padding=1 if even_padding else 0)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels half_h half_w"]:
        """Every other pixel's neighbourhood."""
        return self.conv(x if self.even_padding else F.pad(x, (0, 1, 0, 1)))


class Grow(nn.Module):
    """Twice the height and width: every pixel four times, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Convolution(channels, channels, 3)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels twice_h twice_w"]:
        """The larger picture."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def group_norm(config: UNetConfig, channels: int) -> nn.GroupNorm:
    """Normalisation over the pixels of each group of channels (Wu and He, arXiv:1803.08494)."""
    return nn.GroupNorm(config.norm_groups, channels, eps=config.norm_eps)
