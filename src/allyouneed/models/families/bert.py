"""bert: Devlin et al., arXiv:1810.04805; MiniLM and other sentence encoders share its format.

Learned positions and a vector for each part of a text, normalised before the first layer; norms behind each sum;
exact GELU. Read with its masked-language-model head or without one, and with its pooler where there is one. The head
for next sentences is not read. Dropout of attention weights has no counterpart here.
"""

from collections.abc import Collection, Iterable
from typing import Any

from allyouneed.blocks import Attention, FirstTokenPooler, LayerNorm, Learned, MaskedLMHead, NoHead, PostNorm
from allyouneed.models.config import EncoderConfig
from allyouneed.models.families.gpt2 import PLAIN
from allyouneed.models.family import Family, Raw, name_of, named, only, sizes
from allyouneed.models.weight_table import Weight, linear, weight

SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
    "max_seq_len": "max_position_embeddings",
    "norm_eps": "layer_norm_eps",
    "dropout": "hidden_dropout_prob",
    "n_token_types": "type_vocab_size",
}
DEFAULTS = {
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "type_vocab_size": 2,
}
HEADS = {
    "gelu": MaskedLMHead(),
    "gelu_new": MaskedLMHead("gelu_tanh"),
    "gelu_pytorch_tanh": MaskedLMHead("gelu_tanh"),
    "relu": MaskedLMHead("relu"),
    "silu": MaskedLMHead("silu"),
    "swish": MaskedLMHead("silu"),
}
HEAD = "cls.predictions."


def _read(raw: Raw, names: Collection[str]) -> EncoderConfig:
    only(raw, "position_embedding_type", "absolute")
    only(raw, "is_decoder", False)
    only(raw, "add_cross_attention", False)
    has_head = any(name.startswith(HEAD) for name in names)
    has_pooler = any(name.endswith("pooler.dense.weight") for name in names)
    return EncoderConfig(
        **sizes(raw, SIZES, DEFAULTS),
        positions=Learned(),
        embedding_norm=LayerNorm(),
        residual=PostNorm(),
        mixer=Attention(bias=True),
        feedforward=named(raw, "hidden_act", "gelu", PLAIN),
        pooler=FirstTokenPooler() if has_pooler else None,
        head=named(raw, "hidden_act", "gelu", HEADS) if has_head else NoHead(),
        tie_embeddings=raw.get("tie_word_embeddings", True),
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    if not config.n_token_types:
        raise ValueError("in this format every token is of one type at least")
    return {
        "model_type": "bert",
        "architectures": ["BertModel" if config.head == NoHead() else "BertForMaskedLM"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "intermediate_size": config.sizes.d_ff,
        "hidden_act": name_of(config.feedforward, PLAIN),
        "position_embedding_type": "absolute",
        "attention_probs_dropout_prob": 0.0,
        "tie_word_embeddings": config.tie_embeddings,
    }


def _table(config: EncoderConfig) -> Iterable[Weight]:
    ours, theirs = "layers.{layer}.", "bert.encoder.layer.{layer}."
    yield weight("embedding.weight", "bert.embeddings.word_embeddings.weight")
    yield weight("positions.table.weight", "bert.embeddings.position_embeddings.weight")
    yield weight("token_types.weight", "bert.embeddings.token_type_embeddings.weight")
    yield from linear("embedding_norm", "bert.embeddings.LayerNorm")
    for name, their_name in {"q": "query", "k": "key", "v": "value"}.items():
        yield from linear(f"{ours}sublayers.mixer.{name}", f"{theirs}attention.self.{their_name}")
    yield from linear(f"{ours}sublayers.mixer.out", f"{theirs}attention.output.dense")
    yield from linear(f"{ours}norms.mixer", f"{theirs}attention.output.LayerNorm")
    yield from linear(f"{ours}sublayers.feedforward.up", f"{theirs}intermediate.dense")
    yield from linear(f"{ours}sublayers.feedforward.down", f"{theirs}output.dense")
    yield from linear(f"{ours}norms.feedforward", f"{theirs}output.LayerNorm")
    yield from linear("pooler.dense", "bert.pooler.dense")
    yield from linear("readout.dense", f"{HEAD}transform.dense")
    yield from linear("readout.norm", f"{HEAD}transform.LayerNorm")
    yield weight("readout.bias", f"{HEAD}bias")
    yield weight("unembedding.weight", f"{HEAD}decoder.weight")


FAMILY = Family(
    name="bert",
    read=_read,
    write=_write,
    table=_table,
    embedding="bert.embeddings.word_embeddings.weight",
    head=f"{HEAD}decoder.weight",
    prefix="bert.",
    ignored=("*embeddings.position_ids", "cls.seq_relationship.*"),
    renamed={
        "LayerNorm.gamma": "LayerNorm.weight",
        "LayerNorm.beta": "LayerNorm.bias",
        f"{HEAD}decoder.bias": f"{HEAD}bias",
    },
)
