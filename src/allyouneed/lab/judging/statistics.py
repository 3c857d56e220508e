"""Intervals and power: what n units can say about an effect, and what they cannot.

Every interval here is two-sided. Where the textbook interval is known to be too narrow (skewed items,
few seeds crossed with items), ours is the widest of the candidates: it errs towards saying nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

BOOTSTRAP_DRAWS = 10_000
BOOTSTRAP_CHUNK = 2_000_000  # numbers held at once


@dataclass(frozen=True)
class Interval:
    """A two-sided interval for a mean effect; `se` is the standard error, `df` its degrees of freedom."""

    estimate: float
    low: float
    high: float
    level: float
    n: int
    se: float
    df: float


def t_interval(values: Float[np.ndarray, " n"], level: float = 0.95) -> Interval:
    """Student's interval for the mean of independent values. Raises ValueError for fewer than 2."""
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, got {n}")
    return _around(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n), n - 1, n, level)


def bootstrap_interval(values: Float[np.ndarray, " n"], level: float = 0.95, draws: int = BOOTSTRAP_DRAWS) -> Interval:
    """An interval for the mean over items: bootstrap (BCa, Efron 1987) or Student's, at each end the wider.

    BCa follows the skew of the items; Student's holds where BCa is too narrow (30 items, heavy tails,
    mostly ties). BCa's quantiles are expanded for small n (Hesterberg 2015, section 3.2). The random
    generator is fixed: the same values give the same interval. Raises ValueError if all are equal.
    """
    plain = t_interval(values, level)
    deviation = values - plain.estimate
    if not deviation.any():
        raise ValueError(f"all {len(values)} values are equal: a bootstrap has nothing to draw from")
    means = _resampled_means(values, draws)
    below = ((means < plain.estimate).mean() + (means <= plain.estimate).mean()) / 2
    bias = stats.norm.ppf(np.clip(below, 1 / draws, 1 - 1 / draws))
    acceleration = (deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5)
    reach = math.sqrt(plain.n / plain.df) * _critical(plain.df, level)
    shifted = bias + np.array([-reach, reach])
    low, high = np.quantile(means, stats.norm.cdf(bias + shifted / (1 - acceleration * shifted)))
    return Interval(
        plain.estimate, min(plain.low, float(low)), max(plain.high, float(high)), level, plain.n, plain.se, plain.df
    )


def crossed_interval(values: Float[np.ndarray, "seeds items"], level: float = 0.95) -> Interval:
    """An interval for the mean of every seed on every item, both drawn at random.

    Two-way random effects: the mean's variance is (MS_seeds + MS_items - MS_rest) / (seeds * items),
    its degrees of freedom are Satterthwaite's. With few seeds that alone holds too often (3.3 % of
    5 seeds instead of 2.5 %), so it is never narrower than seeds alone or items alone would allow.
    Raises ValueError for fewer than 2 seeds or items.
    """
    seeds, items = values.shape
    if min(seeds, items) < 2:
        raise ValueError(f"a crossed interval needs at least 2 seeds and 2 items, got {seeds} and {items}")
    mean = float(values.mean())
    by_seed, by_item = values.mean(axis=1), values.mean(axis=0)
    rest = values - by_seed[:, None] - by_item[None, :] + mean
    ms_seeds = items * float(by_seed.var(ddof=1))
    ms_items = seeds * float(by_item.var(ddof=1))
    ms_rest = float((rest**2).sum()) / ((seeds - 1) * (items - 1))
    candidates = [(ms_seeds, seeds - 1.0), (ms_items, items - 1.0)]
    both = ms_seeds + ms_items - ms_rest
    if both > 0:
        candidates.append((both, max(1.0, both**2 / (ms_seeds**2 / (seeds - 1) + ms_items**2 / (items - 1)))))
    intervals = [_around(mean, math.sqrt(ms / (seeds * items)), df, seeds, level) for ms, df in candidates]
    return max(intervals, key=lambda interval: interval.high)


def power(effect: float, sd: float, n: int, level: float = 0.95) -> float:
    """How often the interval of n values lies wholly on the claimed side of the bar.

    `effect` is the true distance from the bar, in the direction claimed; `sd` is that of one value.
    """
    return _power(effect / sd * math.sqrt(n), n - 1, level)


def smallest_effect(sd: float, n: int, level: float = 0.95, power: float = 0.8) -> float:
    """The distance from the bar that n values with this standard deviation show with the given power."""
    return detectable(sd / math.sqrt(n), n - 1, level, power)


def detectable(se: float, df: float, level: float = 0.95, power: float = 0.8) -> float:
    """`smallest_effect` of an estimate whose standard error and degrees of freedom are known."""
    return se * _solve(lambda distance: _power(distance, df, level), power)


def detectable_margin(se: float, df: float, level: float = 0.95, power: float = 0.8) -> float:
    """The margin inside which an effect that is truly 0 is shown to lie with the given power."""
    return se * _solve(lambda margin: _equivalence_power(margin, df, level), power)


def visible_deviations(n: int, level: float = 0.95) -> float:
    """How many of their own standard deviations the mean of n values must reach to be told from 0."""
    return _critical(n - 1, level) / math.sqrt(n)


def binomial_noise(p: float, k: int) -> float:
    """The standard error of an accuracy p measured on k items."""
    return math.sqrt(p * (1 - p) / k)


def _around(estimate: float, se: float, df: float, n: int, level: float) -> Interval:
    half = _critical(df, level) * se
    return Interval(estimate, estimate - half, estimate + half, level, n, se, df)


def _critical(df: float, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, df))


def _resampled_means(values: Float[np.ndarray, " n"], draws: int) -> Float[np.ndarray, " draws"]:
    generator = np.random.default_rng(0)
    n = len(values)
    rows = max(1, BOOTSTRAP_CHUNK // n)
    chunks = [min(rows, draws - start) for start in range(0, draws, rows)]
    return np.concatenate([values[generator.integers(0, n, (size, n))].mean(axis=1) for size in chunks])


def _power(distance: float, df: float, level: float) -> float:
    """The chance that a t statistic centred `distance` standard errors away exceeds the critical value."""
    return float(stats.nct.sf(_critical(df, level), df, distance))


def _equivalence_power(margin: float, df: float, level: float) -> float:
    """The chance that the interval of a true 0 lies within the margin (in standard errors).

    Given the estimated deviation s it is 2 Phi(margin - t s) - 1; averaged here over the law of s.
    """
    quantiles = (np.arange(2000) + 0.5) / 2000
    deviations = np.sqrt(stats.chi2.ppf(quantiles, df) / df)
    inside = 2 * stats.norm.cdf(margin - _critical(df, level) * deviations) - 1
    return float(np.maximum(inside, 0).mean())


def _solve(power_at: Callable[[float], float], wanted: float) -> float:
    """Where an increasing power function reaches what is wanted."""
    high = 1.0
    while power_at(high) < wanted:
        high *= 2
    return float(optimize.brentq(lambda x: power_at(x) - wanted, 0.0, high, xtol=1e-6))
