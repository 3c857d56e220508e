"""Networks made for pictures: what a vision transformer is measured against.

CNN    convolutions with shortcuts (He et al., 2015, arXiv:1512.03385), normalised over groups of channels (Wu and
       He, 2018, arXiv:1803.08494), as the rival of arXiv:2010.11929 is (section 4.1). It knows beforehand that
       what is near belongs together, and that a thing stays what it is wherever it stands.
MLP    two layers over all pixels at once. It knows nothing of them.
"""

from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from allyouneed.blocks.initial import GeneratorFor, fill_normal
from allyouneed.models.stack import drawn_from

Pixels = Float[Tensor, "batch channels height width"]
Logits = Float[Tensor, "batch classes"]

GROUPS = 2  # of channels, each normalised together; few, so that a width may be any even number


@dataclass(frozen=True, kw_only=True)
class CNNConfig:
    """A stem, then stages of one block with a shortcut; each stage halves the picture and doubles the channels,
    the first excepted.

    width: channels of the first stage, an even number.
    """

    channels: int
    n_classes: int
    width: int = 16
    n_stages: int = 2

    def __post_init__(self) -> None:
        if self.width < 1 or self.width % GROUPS:
            raise ValueError(f"width must be even, got {self.width}")


class CNN(nn.Module):
    """A residual network; it reads pictures of any size. Weights are drawn from `seed`."""

    def __init__(self, config: CNNConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        with drawn_from(seed, self):
            self.stem = Convolution(config.channels, config.width)
            widths = [config.width << max(0, stage - 1) for stage in range(config.n_stages + 1)]
            self.blocks = nn.Sequential(*(ResidualBlock(*pair) for pair in pairwise(widths)))
            self.norm = nn.GroupNorm(GROUPS, widths[-1])
            self.head = nn.Linear(widths[-1], config.n_classes)

    def forward(self, pixels: Pixels) -> Logits:
        """Logits of each picture's class, of the mean over all places."""
        return self.head(F.relu(self.norm(self.blocks(self.stem(pixels)))).mean((2, 3)))


class ResidualBlock(nn.Module):
    """shortcut(x) + two convolutions of norm(x); where the channels grow the picture is halved."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        stride = 1 if width == out_width else 2
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, w) for w in (width, out_width))
        self.convolutions = nn.ModuleList([Convolution(width, out_width, stride), Convolution(out_width, out_width)])
        self.shortcut = nn.Identity() if stride == 1 else Convolution(width, out_width, stride, size=1)

    def forward(
        self, x: Float[Tensor, "batch width height columns"]
    ) -> Float[Tensor, "batch out_width out_height out_columns"]:
        """The shortcut reads the stream as it is."""
        y = x
        for norm, convolution in zip(self.norms, self.convolutions):
            y = convolution(F.relu(norm(y)))
        return self.shortcut(x) + y


class Convolution(nn.Conv2d):
    """Over squares of `size` x `size`, with zeros around the picture; a norm follows, so that it has no bias."""

    def __init__(self, width: int, out_width: int, stride: int = 1, size: int = 3) -> None:
        super().__init__(width, out_width, size, stride, padding=size // 2, bias=False)

    def init_parameters(self, generator_for: GeneratorFor) -> None:
        """From N(0, 2 / (numbers that are read)), which keeps the scale behind a ReLU (He et al., arXiv:1502.01852)."""
        fill_normal(self.weight, (2 / self.weight[0].numel()) ** 0.5, generator_for("weight"))


@dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """Two hidden layers of `width` over all of a picture's numbers (channels x height x width)."""

    n_inputs: int
    n_classes: int
    width: int = 128


class MLP(nn.Module):
    """Two hidden layers. Weights are drawn from `seed`."""

    def __init__(self, config: MLPConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        with drawn_from(seed, self):
            sizes = (config.n_inputs, config.width, config.width)
            self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
            self.head = nn.Linear(config.width, config.n_classes)

    def forward(self, pixels: Pixels) -> Logits:
        """Logits of each picture's class."""
        x = pixels.flatten(1)
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)
