"""What a stack is made of: its sizes, and one block config for each axis along which papers differ."""

from dataclasses import dataclass, field

from allyouneed.blocks.attention.attention import Attention
from allyouneed.blocks.feedforward import Gelu
from allyouneed.blocks.heads import LMHead, NoHead
from allyouneed.blocks.norms import LayerNorm
from allyouneed.blocks.protocols import BlockConfig, HeadConfig, MixerConfig, PositionsConfig, ResidualConfig, Sizes
from allyouneed.blocks.residual import PreNorm


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """A stack of like layers over tokens. What is None follows from the other sizes: see `sizes`.

    positions: how order is told; has no default, so that a study depends on no scheme that it does not name.
    mixer: one for all layers, or a tuple of one for each.
    feedforward: None for layers that are a mixer alone.
    embedding_norm: of what enters the first layer, positions included.
    head: what makes logits of what leaves the last.
    tie_embeddings: the head shares the embedding's matrix.
    dropout: of embeddings and of what each sublayer adds.

    Raises ValueError for sizes that do not fit one another.
    """

    vocab_size: int
    positions: PositionsConfig
    d_model: int = 64
    n_layers: int = 2
    n_heads: int = 4
    n_kv_heads: int | None = None
    head_dim: int | None = None
    d_ff: int | None = None
    max_seq_len: int = 1024
    norm: BlockConfig = field(default_factory=LayerNorm)
    residual: ResidualConfig = field(default_factory=PreNorm)
    mixer: MixerConfig | tuple[MixerConfig, ...] = field(default_factory=Attention)
    feedforward: BlockConfig | None = field(default_factory=Gelu)
    embedding_norm: BlockConfig | None = None
    head: HeadConfig = field(default_factory=LMHead)
    tie_embeddings: bool = True
    norm_eps: float = 1e-5
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "n_layers", "n_heads", "n_kv_heads", "head_dim", "d_ff", "max_seq_len"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if self.head_dim is None and self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}; or give head_dim")
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        if isinstance(self.mixer, tuple) and len(self.mixer) != self.n_layers:
            raise ValueError(f"{self.n_layers} layers need as many mixers, or one for all; got {len(self.mixer)}")

    def mixers(self, layer: int) -> dict[str, MixerConfig]:
        """The mixers of a layer, by name and in their order; the feed-forward comes after them."""
        return {"mixer": self.mixer[layer] if isinstance(self.mixer, tuple) else self.mixer}

    @property
    def has_head(self) -> bool:
        """Whether there are logits at all."""
        return self.head != NoHead()

    @property
    def sizes(self) -> Sizes:
        """What blocks may read, with n_kv_heads = n_heads, head_dim = d_model / n_heads, d_ff = 4 d_model filled in."""
        return Sizes(
            d_model=self.d_model,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            n_kv_heads=self.n_kv_heads or self.n_heads,
            head_dim=self.head_dim or self.d_model // self.n_heads,
            d_ff=self.d_ff or 4 * self.d_model,
            max_seq_len=self.max_seq_len,
            norm_eps=self.norm_eps,
            dropout=self.dropout,
        )


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(StackConfig):
    """A stack that reads from left to right. cross: a mixer that reads the memory; None for a decoder alone."""

    cross: MixerConfig | None = None

    def mixers(self, layer: int) -> dict[str, MixerConfig]:
        """The mixer over the tokens, then the one that reads the memory."""
        return super().mixers(layer) | ({} if self.cross is None else {"cross": self.cross})


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(StackConfig):
    """A stack that reads in both directions.

    n_token_types: how many parts a text may have that are told apart by a vector of their own, added to each token's
        (BERT's segments, two of them); 0 for none.
    pooler: what makes one vector of a text.
    """

    n_token_types: int = 0
    pooler: BlockConfig | None = None
