"""dpr: the question and the passage encoder of Karpukhin et al., arXiv:2004.04906.

A BERT each, whose vector of the first token is the text's, with a projection or without. Both have one format; the
reference puts the encoder's name in front of every tensor and reads files without it as well, so none is written. All
tokens are of part 0, in a passage behind its title too: the vectors of part 1 were never trained. The reader is not
read.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from allyouneed.blocks import FirstToken
from allyouneed.models.config import EncoderConfig
from allyouneed.models.families.bert import FAMILY as BERT
from allyouneed.models.family import Family, Raw
from allyouneed.models.weight_table import Weight, linear


def _read(raw: Raw, names: Collection[str]) -> EncoderConfig:
    config = BERT.read(raw, ())
    assert isinstance(config, EncoderConfig)
    return replace(config, pooler=FirstToken(dim=raw.get("projection_dim") or 0))


def _write(config: EncoderConfig) -> dict[str, Any]:
    if not isinstance(config.pooler, FirstToken):
        raise ValueError("in this format a text's vector is its first token's")
    written = BERT.write(config) | {"model_type": "dpr", "projection_dim": config.pooler.dim}
    del written["architectures"]  # of the two, which it is shows in nothing that is here
    return written


def _table(config: EncoderConfig) -> Iterable[Weight]:
    for entry in BERT.table(config):
        yield replace(entry, theirs=tuple(name.replace("bert.", "bert_model.", 1) for name in entry.theirs))
    yield from linear("pooler.projection", "encode_proj")


FAMILY = Family(
    name="dpr",
    read=_read,
    write=_write,
    table=_table,
    embedding="bert_model.embeddings.word_embeddings.weight",
    head="",
    outer=("question_encoder.", "ctx_encoder."),
    ignored=("*embeddings.position_ids",),
    renamed=BERT.renamed,
)
