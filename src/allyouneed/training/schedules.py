"""Learning-rate schedules: pure functions from a step to a factor on the learning rate.

Steps count from 1, so the first update already has a rate above zero, and `max_steps` is the last.
Every schedule rises linearly over the warm-up and reaches 1 at its last step.
"""

import math
from collections.abc import Callable

Schedule = Callable[[int, int, int], float]
"""`schedule(step, max_steps, warmup_steps) -> factor`; bind further settings with functools.partial."""


def cosine(step: int, max_steps: int, warmup_steps: int = 0, floor: float = 0.1) -> float:
    """Warm-up, then half a cosine from 1 down to `floor` at the last step."""
    if step <= warmup_steps:
        return step / warmup_steps
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2


def constant(step: int, max_steps: int, warmup_steps: int = 0) -> float:
    """Warm-up, then 1 to the end."""
    return step / warmup_steps if step <= warmup_steps else 1.0


def inverse_sqrt(step: int, max_steps: int, warmup_steps: int) -> float:
    """Warm-up, then falling as 1 / sqrt(step): with `lr=transformer_lr(...)` the rate of "Attention Is All You Need".

    Vaswani et al., 2017, arXiv:1706.03762, section 5.3. Raises ValueError without a warm-up: its length is
    also what the fall is measured in.
    """
    _check_warmup(warmup_steps)
    return step / warmup_steps if step <= warmup_steps else math.sqrt(warmup_steps / step)


def transformer_lr(d_model: int, warmup_steps: int) -> float:
    """The highest rate of "Attention Is All You Need", d_model^-0.5 warmup_steps^-0.5, reached as warm-up ends.

    `transformer_lr(d_model, warmup_steps) * inverse_sqrt(step, max_steps, warmup_steps)` is equation 3 of
    section 5.3 at every step. Raises ValueError without a warm-up.
    """
    _check_warmup(warmup_steps)
    return (d_model * warmup_steps) ** -0.5


def wsd(step: int, max_steps: int, warmup_steps: int = 0, decay: float = 0.2, floor: float = 0.0) -> float:
    """Warm-up, stable, decay: 1 until the last `decay` of all steps, then linearly down to `floor`.

    Hu et al., "MiniCPM", 2024, arXiv:2404.06395, section 4.
    """
    if step <= warmup_steps:
        return step / warmup_steps
    decay_steps = round(decay * max_steps)
    if step <= max_steps - decay_steps:
        return 1.0
    return floor + (1 - floor) * (max_steps - step) / decay_steps


def _check_warmup(warmup_steps: int) -> None:
    if warmup_steps < 1:
        raise ValueError(f"inverse_sqrt needs warmup_steps of at least 1 (the paper: 4000), got {warmup_steps}")
