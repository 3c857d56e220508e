"""The trunk that decoders and encoders share: embedding, positions, layers, final norm, head."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from allyouneed.blocks.context import Context, Memory, Record
from allyouneed.blocks.initial import initialize
from allyouneed.blocks.linear import Linear, product
from allyouneed.models.config import StackConfig
from allyouneed.models.state import DecoderState

Inputs = Int[Tensor, "batch seq"] | Float[Tensor, "batch seq d_model"]


@contextmanager
def drawn_from(seed: int | None, model: nn.Module) -> Iterator[None]:
    """What is built into `model` inside gets its weights from `seed`, each by its own name in `model`.

    PyTorch's global generator is left alone, unless `seed` is None: then it draws one.
    """
    if seed is None:
        seed = int(torch.randint(2**62, (), device="cpu"))
    # Constructors draw from the global generator; forked and seeded, what they leave follows from the seed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
    initialize(model, seed)


class Stack(nn.Module):
    """Layers over tokens; subclasses say in which direction they read.

    Weights are drawn from `seed`, each by its own name: stacks that differ in one block start equal
    everywhere else. None lets PyTorch's global generator draw the seed.
    """

    causal: ClassVar[bool]
    checkpoint: Any = None  # what it was read from

    def __init__(self, config: StackConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        with drawn_from(seed, self):
            self._build(config)

    def _build(self, config: StackConfig) -> None:
        sizes = config.sizes
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = config.positions.build(sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList()
        self.embedding_norm = nn.Identity() if config.embedding_norm is None else config.embedding_norm.build(sizes)
        for index in range(config.n_layers):
            mixers = config.mixers(index).items()
            sublayers = {name: mixer.build(sizes, positions=self.positions) for name, mixer in mixers}
            if config.feedforward is not None:
                sublayers["feedforward"] = config.feedforward.build(sizes)
            self.layers.append(config.residual.build(sizes, sublayers, config.norm))
        self.final_norm = config.norm.build(sizes) if config.residual.final_norm else nn.Identity()
        own_matrix = config.has_head and not config.tie_embeddings
        self.unembedding = Linear(config.d_model, config.vocab_size, bias=False) if own_matrix else None
        self.readout = config.head.build(sizes, config.vocab_size)

    def share_embedding(self, embedding: nn.Embedding) -> None:
        """Read and, if tied, write with the embedding of another stack; it stays listed under that one alone."""
        del self.embedding
        object.__setattr__(self, "embedding", embedding)

    def embed(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        """The vectors of tokens, before positions. Raises ValueError for a token that the vocabulary does not have."""
        try:
            return self.embedding(tokens)
        except IndexError:  # the CPU's check; an accelerator's own stops the program
            n = self.embedding.num_embeddings
            raise ValueError(f"token {int(tokens.max())} is not of the model's vocabulary (0 .. {n - 1})") from None

    def hidden(
        self,
        inputs: Inputs,
        mask: Bool[Tensor, "batch seq"] | None = None,
        positions: Int[Tensor, "#batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
        state: DecoderState | None = None,
        record: Record | None = None,
        *,
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """What enters the head.

        inputs: tokens, or vectors in place of what `embed` makes of them.
        mask: True at real tokens; padding may stand anywhere and is never looked at.
        positions: where each token stands; counted from the mask and the segments unless given.
        segments: numbers of the documents of a packed row, which do not see one another.
        state: of the tokens read before these; moved behind them.
        record: filled by the blocks with their side outputs, by name.
        memory: what the layers may read besides; a state has its own.
        """
        past = None
        if state is not None:
            if state.batch_size != len(inputs):
                raise ValueError(f"the state has {state.batch_size} rows, the inputs have {len(inputs)}")
            if memory is not None:
                raise ValueError("a state carries its own memory: give it to new_state, not to the forward as well")
            past, memory = state.past, state.memory
        ctx = Context.of(inputs, mask, positions, segments, causal=self.causal, past=past, record=record, memory=memory)
        x = inputs if inputs.is_floating_point() else self.embed(inputs)
        x = self.dropout(self.embedding_norm(self.positions.embed(x, ctx)))
        after: list[Any] = []
        for index, layer in enumerate(self.layers):
            x, layer_state = layer(x, ctx, state.layers[index] if state is not None else None)
            after.append(layer_state)
        if state is not None:
            state.past, state.layers = ctx.after(), after
        return self.final_norm(x)

    def head(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """Logits over the vocabulary."""
        return self.readout(hidden, self._unembed)

    def _unembed(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        return product(hidden, self.embedding.weight) if self.unembedding is None else self.unembedding(hidden)

    def forward(
        self,
        inputs: Inputs,
        mask: Bool[Tensor, "batch seq"] | None = None,
        positions: Int[Tensor, "#batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
        state: DecoderState | None = None,
        record: Record | None = None,
        *,
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits at every position; the arguments are those of `hidden`."""
        return self.head(self.hidden(inputs, mask, positions, segments, state, record, memory=memory))
