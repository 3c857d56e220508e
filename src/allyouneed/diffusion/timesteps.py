"""Which steps of the chain a sampler visits when it is to take fewer: from the noisy end down, last the one from which
it goes to the data. The names are those of Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed",
2023, arXiv:2305.08891, Table 2."""

from collections.abc import Callable

import numpy as np

Spacing = Callable[[int, int], list[int]]
"""`spacing(n_train, n_steps)`: `n_steps` of the steps 0 .. n_train - 1, falling."""


def linspace(n_train: int, n_steps: int) -> list[int]:
    """Evenly from the last step to the first, both included (Nichol and Dhariwal, arXiv:2102.09672)."""
    _check(n_train, n_steps)
    return np.linspace(0, n_train - 1, n_steps).round()[::-1].astype(int).tolist() if n_steps > 1 else [n_train - 1]


def leading(n_train: int, n_steps: int) -> list[int]:
    """Every so many steps from the first on, so that the noisiest are never visited (DDIM's, section 4.2)."""
    _check(n_train, n_steps)
    return [index * (n_train // n_steps) for index in reversed(range(n_steps))]


def trailing(n_train: int, n_steps: int) -> list[int]:
    """Every so many steps from the last on, so that the cleanest are never visited."""
    _check(n_train, n_steps)
    return [round(n_train - index * n_train / n_steps) - 1 for index in range(n_steps)]


SPACINGS: dict[str, Spacing] = {"linspace": linspace, "leading": leading, "trailing": trailing}


def _check(n_train: int, n_steps: int) -> None:
    if not 1 <= n_steps <= n_train:
        raise ValueError(f"the chain has {n_train} steps, so that 1 to {n_train} can be taken; got {n_steps}")
