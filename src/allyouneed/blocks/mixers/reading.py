"""How recurrent mixers read: padding is skipped wherever it stands, and every document is read from nothing.

Attention hides keys from a query after they were read. What a recurrence has read is in its state for good, so each
row's valid tokens are moved to the front, in their order, and what is left over behind them must change no state.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from allyouneed.blocks.context import Context


@dataclass(frozen=True, eq=False)
class Reading:
    """The tokens of a forward in the order in which a recurrent mixer reads them: the valid ones, then padding.

    order: where each token stands; None if they are read as they stand, without padding.
    counts: valid tokens of each row.
    documents: in front the one that the row stood in before, then that of each token read, padding continuing the
        last; None if there is but one.
    """

    seq: int
    counts: Int[Tensor, "batch"]
    order: Int[Tensor, "batch seq"] | None
    documents: Int[Tensor, "batch _"] | None

    @staticmethod
    def of(ctx: Context, batch: int) -> "Reading":
        """The order for this context's rows; made once for all layers."""
        return ctx.once("reading", lambda: _reading(ctx, batch))

    @property
    def valid(self) -> Bool[Tensor, "batch seq"] | None:
        """False at the padding behind each row; None if there is none."""
        if self.order is None:
            return None
        return torch.arange(self.seq, device=self.counts.device) < self.counts[:, None]

    @property
    def opens(self) -> Bool[Tensor, "batch seq"] | None:
        """True at the first token of a document; None if none begins."""
        return None if self.documents is None else self.documents[:, 1:] != self.documents[:, :-1]

    def arrange(self, x: Float[Tensor, "batch seq width"]) -> Float[Tensor, "batch seq width"]:
        """What stands in the order of the forward, in the order read."""
        return x if self.order is None else x.gather(1, self.order[..., None].expand_as(x))

    def put_back(self, y: Float[Tensor, "batch seq width"]) -> Float[Tensor, "batch seq width"]:
        """What was computed in the order read, in the order of the forward."""
        return y if self.order is None else torch.zeros_like(y).scatter(1, self.order[..., None].expand_as(y), y)

    def together(self, width: int) -> Bool[Tensor, "batch seq width"] | None:
        """Which of the `width` tokens that end at each are of its document; None if all are."""
        if self.documents is None:
            return None
        return self._documents_behind(width - 1).unfold(1, width, 1) == self.documents[:, 1:, None]

    def tail(self, joined: Float[Tensor, "batch _ width"], n: int) -> Float[Tensor, "batch {n} width"]:
        """The last `n` valid tokens of `joined`: n from before, then those of this forward. Those of earlier
        documents are 0, so that the next forward may take all to be of the last."""
        if self.order is None and self.documents is None:
            return joined[:, self.seq :].clone()  # a copy: a view would keep the whole of it
        last = self.counts[:, None] + torch.arange(n, device=joined.device)
        tail = joined.gather(1, last[..., None].expand(-1, -1, joined.shape[-1]))
        if self.documents is None:
            return tail
        same = self._documents_behind(n).gather(1, last) == self.documents[:, -1:]
        return tail.masked_fill(~same[..., None], 0)

    def _documents_behind(self, n: int) -> Int[Tensor, "batch _"]:
        """The documents of the n tokens before, then of those read."""
        assert self.documents is not None
        return torch.cat((self.documents[:, :1].expand(-1, n), self.documents[:, 1:]), dim=1)


def _reading(ctx: Context, batch: int) -> Reading:
    seq, device = ctx.positions.shape[1], ctx.positions.device
    counts = torch.full((batch,), seq, device=device) if ctx.valid is None else ctx.valid.sum(1)
    # A stable sort puts True behind False and leaves all else as it stands.
    order = None if ctx.valid is None else (~ctx.valid).byte().argsort(dim=1, stable=True)
    if ctx.segments is None:
        return Reading(seq, counts, order, None)
    before = ctx.past.segment if ctx.past.segment is not None else torch.zeros_like(counts)
    documents = torch.cat((before[:, None], ctx.segments if order is None else ctx.segments.gather(1, order)), dim=1)
    place = torch.arange(1 + seq, device=device).minimum(counts[:, None])
    return Reading(seq, counts, order, documents.gather(1, place))
