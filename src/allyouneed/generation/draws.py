"""Random numbers that belong to rows: what one row draws does not hang on what else is in its batch."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def row_seeds(seed: int | Sequence[int], n_rows: int) -> list[int]:
    """A seed for each row: those given, or the first that one seed draws.

    They are drawn rather than counted up, so that two seeds share no row. Raises ValueError unless there are as many
    given seeds as rows.
    """
    if isinstance(seed, int):
        return torch.randint(2**32, (n_rows,), generator=torch.Generator().manual_seed(seed)).tolist()
    if len(seed) != n_rows:
        raise ValueError(f"give one seed, or one for each of the {n_rows} rows; got {len(seed)}")
    return list(seed)


class Draws:
    """Uniform numbers in [0, 1), each row's from a generator of its own.

    The generators are the CPU's, so that every device draws alike; PyTorch's global one is left alone.
    """

    def __init__(self, seed: int | Sequence[int], n_rows: int, device: torch.device) -> None:
        self.generators = [torch.Generator().manual_seed(s) for s in row_seeds(seed, n_rows)]
        self.device = device

    def next(self, n: int) -> Float[Tensor, "rows n"]:
        """The next `n` of every row, in float64."""
        rows = [torch.rand(n, generator=generator, dtype=torch.float64) for generator in self.generators]
        return torch.stack(rows).to(self.device)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        self.generators = [self.generators[row] for row in rows]
