"""Rotary positions beyond the length of training: each rule slows the pairs down in its own way.

    LinearScaling   every pair by `factor`                            Chen et al., arXiv:2306.15595, section 2.2
    Yarn            by how often a pair turns over the old length:    Peng et al., arXiv:2309.00071, section 3
                    slow ones by `factor`, fast ones not at all
    Llama3Scaling   the same idea in wavelengths                      Llama 3.1's code

A rule takes the frequencies theta_i and gives those to use, and a number that queries and keys are multiplied by
(1 but for Yarn, whose scores are sharpened).
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Scaled = tuple[Float[Tensor, "pairs"], float]


@runtime_checkable
class RopeScaling(Protocol):
    """A rule that changes the frequencies."""

    def scale(self, frequencies: Float[Tensor, "pairs"], theta: float) -> Scaled:
        """What to use instead of `frequencies`, of base `theta`, and what to multiply queries and keys by."""
        ...


@dataclass(frozen=True)
class LinearScaling:
    """Positions divided by `factor`."""

    factor: float

    def scale(self, frequencies: Float[Tensor, "pairs"], theta: float) -> Scaled:
        """Every frequency over `factor`."""
        return frequencies / self.factor, 1.0


@dataclass(frozen=True)
class Llama3Scaling:
    """Waves longer than original_max_seq_len / low_freq_factor are slowed by `factor`, waves shorter than
    original_max_seq_len / high_freq_factor kept; between them the two are mixed."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_seq_len: int

    def scale(self, frequencies: Float[Tensor, "pairs"], theta: float) -> Scaled:
        """Mixed by the number of turns within the original length."""
        turns = self.original_max_seq_len * frequencies / (2 * math.pi)
        kept = ((turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)).clamp(0, 1)
        return kept * frequencies + (1 - kept) * frequencies / self.factor, 1.0


@dataclass(frozen=True)
class Yarn:
    """Pairs that turn more than `beta_fast` times within the original length are kept, those that turn fewer than
    `beta_slow` times slowed by `factor`; between them a ramp over the pairs' indices.

    attention_factor: what queries and keys are multiplied by; 0.1 ln(factor) + 1 unless given (equation 22).
    truncate: the ramp begins and ends at whole pairs.
    """

    factor: float
    original_max_seq_len: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True

    def scale(self, frequencies: Float[Tensor, "pairs"], theta: float) -> Scaled:
        """Mixed along the ramp."""
        pairs = len(frequencies)
        begin, end = (self._pair_that_turns(times, pairs, theta) for times in (self.beta_fast, self.beta_slow))
        if self.truncate:
            begin, end = math.floor(begin), math.ceil(end)
        begin, end = max(begin, 0), min(end, 2 * pairs - 1)  # the last channel, not the last pair: as published
        end = end if end != begin else end + 0.001
        index = torch.arange(pairs, dtype=frequencies.dtype, device=frequencies.device)
        slowed = ((index - begin) / (end - begin)).clamp(0, 1)
        scaled = frequencies * (1 - slowed) + frequencies / self.factor * slowed
        given = self.attention_factor
        return scaled, given if given is not None else 0.1 * math.log(max(self.factor, 1.0)) + 1.0

    def _pair_that_turns(self, times: float, pairs: int, theta: float) -> float:
        """The index, between pairs too, of the pair that turns `times` within the original length."""
        return pairs * math.log(self.original_max_seq_len / (times * 2 * math.pi)) / math.log(theta)
