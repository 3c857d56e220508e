"""What a stack computes for a token, in floating-point operations, from its config alone."""

from torch import nn

from allyouneed.models.build import without_memory
from allyouneed.models.config import DecoderConfig, EncoderConfig


def flops_a_token(config: DecoderConfig | EncoderConfig, context: float) -> float:
    """Operations for one token that sees `context` tokens, itself included; for stacks of attention.

    A multiplication and an addition for each weight of a matrix, and for each number of the keys and values that a
    head looks at (Kaplan et al., arXiv:2001.08361, section 2.1). Norms, activations and rotations are left out: about
    a hundredth.
    """
    model = without_memory(config)
    weights = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    if config.has_head and config.tie_embeddings:
        weights += config.vocab_size * config.d_model
    looking = config.n_layers * config.sizes.n_heads * config.sizes.head_dim * context
    return 2.0 * weights + 4.0 * looking
