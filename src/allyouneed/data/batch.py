"""What streams of tokens and of pairs yield: inputs, what is to be predicted at each, which positions are real."""

from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

IGNORE = -100  # the target of a position that is not scored; PyTorch's own default in cross entropy


@dataclass(frozen=True)
class TokenBatch:
    """`targets[:, i]` is the token that follows `tokens[:, i]`, or -100 where nothing is scored.

    `mask` is False at padding (None: no padding). `segments` numbers the documents of a packed row, so that
    attention may stop at their ends (None: one document a row).
    """

    tokens: Int[Tensor, "batch seq"]
    targets: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"] | None = None
    segments: Int[Tensor, "batch seq"] | None = None


@dataclass(frozen=True)
class PairBatch:
    """Sources, and of each target what a decoder reads and what it is to write.

    `tokens` is the target behind a start token; `targets` is the target with an end token after it, and -100 at
    padding. `source_mask` is False at padding (None: no padding). Padding is on the right.
    """

    source: Int[Tensor, "batch source_seq"]
    tokens: Int[Tensor, "batch target_seq"]
    targets: Int[Tensor, "batch target_seq"]
    source_mask: Bool[Tensor, "batch source_seq"] | None = None
