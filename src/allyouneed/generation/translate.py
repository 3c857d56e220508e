"""Translating sentences with any model that reads a source and writes a target."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from allyouneed.data.pairs.batches import encode_pairs
from allyouneed.generation.beam import beam_search
from allyouneed.generation.reading import Reads, reading
from allyouneed.tokenizers import Tokenizer
from allyouneed.tokenizers.subwords import END, START


@runtime_checkable
class Translates(Reads, Protocol):
    """A model that `beam_search` can ask, once it has read a source."""

    def new_state(self, tokens: Int[Tensor, "batch source"], mask: Bool[Tensor, "batch source"] | None = None) -> Any:
        """The state before the first token of the target."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights, which say where sources have to be."""
        ...


def translate(
    model: Translates,
    sources: Sequence[str],
    tokenizer: Tokenizer,
    *,
    n_beams: int = 4,
    length_penalty: float = 0.6,
    max_new_tokens: int = 128,
    batch_size: int = 100,
) -> list[str]:
    """What the model writes for each source, in their order.

    Four beams and length penalty 0.6 are those of Vaswani et al., arXiv:1706.03762, section 6.1. Its limit, a source's
    length and 50 tokens, would make a translation depend on what it is batched with; here one holds for all. The
    tokenizer is the one that the model was trained with (`tokenizers.subwords`). Sentences of about one length are
    translated together.
    """
    if not sources:
        return []
    encoded = encode_pairs([(source, "") for source in sources], tokenizer)
    device = next(model.parameters()).device
    written = [""] * len(sources)
    with reading(model):
        for rows in encoded.rows(batch_size):
            batch = encoded.at(rows)
            source = batch.source.to(device)
            state = model.new_state(source, None if batch.source_mask is None else batch.source_mask.to(device))
            beams = beam_search(
                model,
                torch.full_like(source[:, :1], START),
                state,
                end=END,
                n_beams=n_beams,
                length_penalty=length_penalty,
                max_new_tokens=max_new_tokens,
            )
            for row, tokens in zip(encoded.kept[rows], beams.tokens[:, 0].tolist()):
                written[row] = tokenizer.decode(tokens[: tokens.index(END)] if END in tokens else tokens)
    return written
