"""AdamW as language models use it: weight decay for matrices, none for biases and norms."""

from torch import nn
from torch.optim import AdamW


def adamw(
    model: nn.Module,
    lr: float,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
) -> AdamW:
    """Torch's fused AdamW over the parameters that require gradients, in two groups.

    Parameters with two axes or more (linears, embeddings) decay; vectors and scalars (biases, norms) do
    not, nor do those that a block names in its `no_weight_decay` (Mamba's A_log). Raises ValueError if nothing is
    to be trained.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError(f"{type(model).__name__} has no parameter that requires a gradient: nothing to train")
    exempt = {id(getattr(block, name)) for block in model.modules() for name in getattr(block, "no_weight_decay", ())}
    groups = [
        {"params": [p for p in trained if p.ndim >= 2 and id(p) not in exempt], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2 or id(p) in exempt], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=lr, betas=betas, eps=eps, fused=True)
