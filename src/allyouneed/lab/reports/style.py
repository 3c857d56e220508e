"""The looks of every figure: the colours of arms and the matplotlib settings, for light and dark pages.

The pages' own colours are those of page.html.jinja.
"""

from typing import Any

# Told apart by people with any of the three colour blindnesses, and dark (or light) enough to be read as text.
LIGHT = ("#0b66b0", "#cf4a0c", "#0a7d5f", "#a0458f", "#8a6a00", "#1b8fae", "#5b6470")
DARK = ("#62b0f5", "#ff935c", "#3fcfa4", "#e48fd0", "#e3c04f", "#6fd6ee", "#aab4c0")

# Ink, softer ink, grid, page.
LIGHT_PAGE = ("#1c2126", "#6b7580", "#e4e7ea", "#ffffff")
DARK_PAGE = ("#e8eaed", "#a3abb5", "#2f363f", "#15191e")


def style(dark: bool) -> dict[Any, Any]:
    """The project's matplotlib settings for a light or a dark page."""
    from cycler import cycler

    ink, soft, grid, page = DARK_PAGE if dark else LIGHT_PAGE
    return {
        "figure.figsize": (7.2, 4.0),
        "figure.facecolor": page,
        "figure.constrained_layout.use": True,
        "savefig.facecolor": page,
        "savefig.dpi": 160,
        "svg.hashsalt": "allyouneed",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
        "font.size": 10,
        "text.color": ink,
        "axes.facecolor": page,
        "axes.edgecolor": soft,
        "axes.labelcolor": ink,
        "axes.labelsize": 10,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=DARK if dark else LIGHT),
        "grid.color": grid,
        "grid.linewidth": 0.8,
        "xtick.color": soft,
        "ytick.color": soft,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "ytick.major.size": 0,
        "lines.linewidth": 2.0,
        "lines.markersize": 5.5,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.labelcolor": ink,
    }
