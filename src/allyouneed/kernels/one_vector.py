"""The product of a matrix with one vector, at the speed of memory (numba, extra "fast").

All that such a product costs is to fetch the matrix, and PyTorch's own fetches one that is larger than the caches at a
fraction of what memory gives: `benchmarks/decode.py` shows what that makes of decoding.
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def one_vector() -> Callable[[Tensor, Tensor], Tensor] | None:
    """A function of a contiguous matrix on the CPU, (out, width) in float32 or bfloat16, and a vector (width) of its
    precision, that gives their product (out) in float32; None where numba is not installed, or has no threads that
    several callers may use at once."""
    if importlib.util.find_spec("numba") is None:
        return None
    numba, ir = importlib.import_module("numba"), importlib.import_module("llvmlite.ir")

    if not _start_threads(numba):
        return None

    @numba.extending.intrinsic
    def widened(typing: Any, bits: Any) -> Any:
        """A bfloat16, given as its 16 bits, as the float32 whose upper half they are."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            word = ir.IntType(32)
            shifted = builder.shl(builder.zext(arguments[0], word), ir.Constant(word, 16))
            return builder.bitcast(shifted, ir.FloatType())

        return numba.types.float32(numba.types.uint16), generate

    # Sums may be taken in any order (fastmath), or the loops could not use the processor's vectors.
    settings = {"fastmath": True, "parallel": True, "boundscheck": False, "error_model": "numpy", "cache": True}

    @numba.njit(**settings)
    def of_float32(matrix: Any, x: Any, y: Any) -> None:
        for row in numba.prange(matrix.shape[0]):
            total = numba.float32(0)
            for column in range(matrix.shape[1]):
                total += matrix[row, column] * x[column]
            y[row] = total

    @numba.njit(**settings)
    def of_bfloat16(matrix: Any, x: Any, y: Any) -> None:
        for row in numba.prange(matrix.shape[0]):
            total = numba.float32(0)
            for column in range(matrix.shape[1]):
                total += widened(matrix[row, column]) * x[column]
            y[row] = total

    def product(matrix: Tensor, x: Tensor) -> Tensor:
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        y = torch.empty(len(matrix), dtype=torch.float32)
        if matrix.dtype == torch.float32:
            of_float32(matrix.detach().numpy(), x.detach().numpy(), y.numpy())
        else:
            of_bfloat16(matrix.detach().view(torch.uint16).numpy(), x.detach().float().numpy(), y.numpy())
        return y

    return product


def _start_threads(numba: Any) -> bool:
    """Have numba start its threads, if it has a kind that bears several callers."""
    before = torch.get_num_threads()
    numba.config.THREADING_LAYER = "threadsafe"
    try:
        numba.set_num_threads(1)
    except ValueError:  # none of that kind could be loaded
        return False
    torch.set_num_threads(before)  # OpenMP's are PyTorch's as well: another number of them would change its sums
    return True
