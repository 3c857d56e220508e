"""The Fréchet distance: how far apart two sets of features lie, each taken for a Gaussian.

Heusel et al., 2017, arXiv:1706.08500, equation 6. Of a number of samples it is biased upwards, the more the fewer there
are: compare sets of the same size, and print what real data and a trivial generator get.
"""

import numpy as np
from jaxtyping import Float


def frechet_distance(a: Float[np.ndarray, "items features"], b: Float[np.ndarray, "others features"]) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), in float64. Raises ValueError for fewer than 2 items."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a distance between Gaussians needs at least 2 items on each side, got {len(a)} and {len(b)}")
    mean_a, mean_b = (np.mean(x, axis=0, dtype=np.float64) for x in (a, b))
    cov_a, cov_b = (np.atleast_2d(np.cov(np.asarray(x, dtype=np.float64), rowvar=False)) for x in (a, b))
    # The trace of the root of C_a C_b is that of the symmetric A C_b A with A the root of C_a.
    values, axes = np.linalg.eigh(cov_a)
    root = (axes * np.sqrt(values.clip(min=0))) @ axes.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(min=0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap)
