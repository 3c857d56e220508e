"""Which library multiplies float32 matrices when a model reads: the faster one, where it is as exact.

PyTorch's own choice on a CPU (MKL) does not use all of an AMD processor; oneDNN, which torch's setting "medium" allows,
is faster there for several rows and large matrices (`benchmarks/decode.py`), slower for one row and small matrices. And
on a processor with AMX it may round to bfloat16: so it is asked for one product first.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch

SMALLEST_WIDTH = 512  # of the vectors; it gains at 768 and loses at 64, and between them was not measured
FEWEST_ROWS = 2


def fast_products(rows: int, width: int, weight: torch.Tensor) -> AbstractContextManager[None]:
    """Within the block products of `rows` vectors of `width` with matrices like `weight` are the faster ones.

    Nothing changes if torch has been given a setting other than its default.
    """
    gains = rows >= FEWEST_ROWS and width >= SMALLEST_WIDTH
    if not gains or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return nullcontext()
    return _medium() if torch.get_float32_matmul_precision() == "highest" and _is_exact() else nullcontext()


@contextmanager
def _medium() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@cache
def _is_exact() -> bool:
    """Whether the setting leaves products on this processor in float32: their error against float64 is no larger."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator, device="cpu") for _ in range(2))
    exact = a.double() @ b.double()
    plain = float((a @ b - exact).abs().max())
    with _medium():
        return float((a @ b - exact).abs().max()) < 4 * plain  # rounded to bfloat16 it would be thousands of times
