"""Figures: one style for the whole project, light and dark, and the plots that most studies need.

A study's figure function returns a matplotlib `Figure`. The style is in force while `draw` calls it,
so a function that uses matplotlib by itself gets the same looks. Nothing here touches pyplot, whose
global state does not go well with threads and notebooks. matplotlib is imported when something is
drawn: trial workers import studies, and studies import this module.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from allyouneed.lab.judging.statistics import t_interval
from allyouneed.lab.reports.style import DARK, DARK_PAGE, LIGHT, LIGHT_PAGE, style
from allyouneed.lab.reports.summary import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from allyouneed.lab.judging.measurements import Measurements

DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))  # where there are more arms than colours
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_LABEL_GAP = 0.062  # of the axes' height: what a line of text needs


@dataclass(frozen=True)
class Drawing:
    """A figure in one theme, as a vector graphic for the report and as pixels for everything else."""

    svg: str
    png: bytes


@dataclass(frozen=True)
class _Setting:
    """What is fixed while a figure is drawn: the theme, and the order of arms that fixes their colours."""

    dark: bool = False
    arms: tuple[str, ...] = ()


_LIGHT_ALONE = _Setting()
_setting: ContextVar[_Setting] = ContextVar("setting", default=_LIGHT_ALONE)


def draw(
    function: Callable[[Any], "Figure"], m: "Measurements", *, dark: bool = False, arms: Sequence[str] = ()
) -> Drawing:
    """Call a study's figure function in one theme. `arms` in a fixed order keeps their colours over several figures."""
    with _in(_Setting(dark, tuple(arms))):
        figure = function(m)
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", metadata={"Software": None})
    return Drawing(svg.getvalue(), png.getvalue())


def curves(
    m: "Measurements",
    name: str,
    *,
    x: str = "training step",
    y: str | None = None,
    scale: str = "linear",
) -> "Figure":
    """What was logged as `name` against the step: one line an arm, the band its 95 % interval over seeds.

    The view is fitted to the last seven eighths of the steps: the first losses of a training would
    flatten all the rest. `scale` is that of the x axis, "linear" or "log".
    """
    with _in(_setting.get()):
        figure, axes = _canvas(x, y or name)
        logged = {arm: m.curve(name, arm) for arm in m.arms}
        ends = [_banded_line(axes, m, arm, steps, values) for arm, (steps, values) in logged.items()]
        axes.set_xscale(scale)
        _fit_view(axes, np.concatenate([values[:, len(steps) // 8 :].ravel() for steps, values in logged.values()]))
        _label_ends(axes, ends)
        return figure


def lines(
    m: "Measurements",
    names: Sequence[str] | str,
    *,
    x: str,
    y: str,
    at: Sequence[float] | None = None,
    mark: float | None = None,
    scale: str = "linear",
) -> "Figure":
    """Several measurements of each arm as one line: `names[i]` stands at `at[i]` (default 0, 1, 2, ...).

    One name is that of a vector, which needs `at`. The bands are 95 % intervals over seeds; `mark` draws a rule at
    one x, such as the training length. Without `at` the x axis shows the names themselves.
    """
    with _in(_setting.get()):
        figure, axes = _canvas(x, y)
        places = np.arange(len(names)) if at is None else np.asarray(at, dtype=float)
        ends = []
        for arm in m.arms:
            if isinstance(names, str):
                values = m.values(names, arm).reshape(-1, len(places))  # without a run there is no vector
            else:
                values = np.stack([np.asarray(m.values(name, arm), dtype=float) for name in names], axis=1)
            ends.append(_banded_line(axes, m, arm, places, values, marker=MARKERS[_index(m, arm) % len(MARKERS)]))
        axes.set_xscale(scale)
        _name_ticks(axes, places, names if at is None else [f"{place:g}" for place in places])
        if mark is not None:
            axes.axvline(mark, color="0.5", linewidth=1, linestyle=(0, (4, 3)), zorder=0.5)
        _label_ends(axes, ends)
        return figure


def bars(m: "Measurements", name: str, *, y: str) -> "Figure":
    """One measurement of each arm: the mean over seeds with its 95 % interval, and every seed as a dot.

    The axis starts where the data do, not at zero: what is compared are differences between arms.
    """
    with _in(_setting.get()):
        figure, axes = _canvas("", y)
        for place, arm in enumerate(m.arms):
            values = np.asarray(m.values(name, arm), dtype=float)
            mean, low, high = _interval(values)
            colour = _colour(m, arm)
            spread = np.linspace(-0.08, 0.08, len(values)) if len(values) > 1 else np.zeros(1)
            axes.plot(place + spread - 0.22, values, "o", color=colour, alpha=0.4, markersize=4, markeredgewidth=0)
            axes.plot([place, place], [low, high], color=colour, linewidth=6, alpha=0.28)
            axes.plot([place - 0.12, place + 0.12], [mean, mean], color=colour, linewidth=2.6)
            top = (place, max(high, values.max()))
            axes.annotate(digits(mean), top, (0, 7), textcoords="offset points", ha="center", color=colour)
        _name_ticks(axes, np.arange(len(m.arms)), m.arms)
        axes.set_xlim(-0.6, len(m.arms) - 0.4)
        axes.margins(y=0.15)
        return figure


def heatmap(m: "Measurements", name: str, *, x: str, y: str, panels: str, label: str) -> "Figure":
    """The mean of one measurement over seeds by two factors of a grid, a panel for each value of a third.

    All panels share one scale, the stronger the colour the larger the value; a cell without a run stays empty.
    """
    from matplotlib.figure import Figure

    with _in(_setting.get()):
        columns, rows, kinds = m.factor(x), m.factor(y), m.factor(panels)
        tables = [_table(m.where(**{panels: kind}), name, y, rows, columns) for kind in kinds]
        figure = Figure(figsize=(7.2, 1.4 + 0.6 * len(rows)))
        figure.suptitle(label, x=0.01, ha="left", fontsize=10)
        for place, (kind, table) in enumerate(zip(kinds, tables)):
            axes = figure.add_subplot(1, len(kinds), place + 1)
            _cells(axes, table, float(np.nanmin(tables)), float(np.nanmax(tables)))
            axes.set_title(kind, loc="left", fontsize=10, fontweight="bold")
            axes.set_xlabel(x)
            axes.set_xticks(range(len(columns)), labels=columns)
            axes.set_yticks(range(len(rows)), labels=rows if place == 0 else [""] * len(rows))
            if place == 0:
                axes.set_ylabel(y)
        return figure


def matrix(
    values: Float[np.ndarray, "rows columns"], *, rows: Sequence[str], columns: Sequence[str], x: str, y: str
) -> "Figure":
    """A table of shares as shades, 0 to its largest, with a name at each row and column; such as attention."""
    from matplotlib.figure import Figure

    with _in(_setting.get()):
        figure = Figure(figsize=(1.8 + 0.32 * len(columns), 1.5 + 0.26 * len(rows)))
        axes = figure.add_subplot()
        _shades(axes, values, 0.0, float(np.max(values)))
        axes.set_xticks(range(len(columns)), labels=columns, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(rows)), labels=rows)
        axes.set_xlabel(x)
        axes.set_title(y, loc="left", fontsize=10, pad=10)
        return figure


@contextmanager
def _in(setting: _Setting) -> Iterator[None]:
    """The style and the order of arms, for the length of a block."""
    import matplotlib

    token = _setting.set(setting)
    try:
        with matplotlib.rc_context(style(setting.dark)):
            yield
    finally:
        _setting.reset(token)


def _canvas(x: str, y: str) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    # Above the axis and level, so that nobody has to turn their head.
    axes.set_title(y, loc="left", fontsize=10, pad=10)
    return figure, axes


def _table(
    m: "Measurements", name: str, y: str, rows: Sequence[str], columns: Sequence[str]
) -> Float[np.ndarray, "rows columns"]:
    """The means of a measurement by factor `y` and the one factor that is left; NaN where nothing was run."""
    table = np.full((len(rows), len(columns)), np.nan)
    for i, row in enumerate(rows):
        of_row = m.where(**{y: row})
        for j, column in enumerate(columns):
            if column in of_row.arms:
                table[i, j] = np.mean(of_row.values(name, column))
    return table


def _cells(axes: "Axes", table: Float[np.ndarray, "rows columns"], low: float, high: float) -> None:
    """The cells in their colours, each with its number in it."""
    ink, _, _, page = DARK_PAGE if _setting.get().dark else LIGHT_PAGE
    _shades(axes, table, low, high)
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = page if value - low > 0.7 * (high - low) else ink
            axes.text(j, i, digits(value), ha="center", va="center", color=colour)


def _shades(axes: "Axes", table: Float[np.ndarray, "rows columns"], low: float, high: float) -> None:
    """The stronger the colour, the larger the value."""
    from matplotlib.colors import LinearSegmentedColormap

    page = (DARK_PAGE if _setting.get().dark else LIGHT_PAGE)[-1]
    strong = (DARK if _setting.get().dark else LIGHT)[0]
    axes.imshow(table, LinearSegmentedColormap.from_list("cells", [page, strong]), vmin=low, vmax=high, aspect="auto")
    axes.grid(visible=False)


def _index(m: "Measurements", arm: str) -> int:
    order = _setting.get().arms
    # Views of a grid have names of their own, and start anew.
    return order.index(arm) if arm in order else list(m.arms).index(arm)


def _colour(m: "Measurements", arm: str) -> str:
    palette = DARK if _setting.get().dark else LIGHT
    return palette[_index(m, arm) % len(palette)]


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval; of one seed the value alone, since nothing is known of its spread."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        value = float(finite[0]) if len(finite) else float("nan")
        return value, value, value
    interval = t_interval(finite)
    return interval.estimate, interval.low, interval.high


@dataclass(frozen=True)
class _End:
    """Where a line ends, and the name to write there."""

    arm: str
    x: float
    y: float
    colour: str


def _banded_line(
    axes: "Axes", m: "Measurements", arm: str, x: np.ndarray, values: np.ndarray, marker: str = ""
) -> _End:
    middle, low, high = np.array([_interval(column) for column in values.T]).reshape(-1, 3).T
    colour = _colour(m, arm)
    axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    dashes = DASHES[_index(m, arm) // len(LIGHT) % len(DASHES)]
    axes.plot(x, middle, color=colour, marker=marker, linestyle=dashes, label=arm)
    return _End(arm, float(x[-1]), float(middle[-1]), colour)


def _fit_view(axes: "Axes", values: np.ndarray) -> None:
    """Set the y axis to what these values span."""
    finite = values[np.isfinite(values)]
    if finite.size and np.ptp(finite) > 0:
        pad = 0.06 * float(np.ptp(finite))
        axes.set_ylim(float(finite.min()) - pad, float(finite.max()) + pad)


def _name_ticks(axes: "Axes", places: np.ndarray, names: Sequence[str]) -> None:
    axes.set_xticks(places, labels=list(names))
    axes.set_xticks([], minor=True)


def _label_ends(axes: "Axes", ends: list[_End]) -> None:
    """Write each arm's name beside the end of its line, moved apart where two would touch."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)
    ends = sorted(ends, key=lambda end: end.y)
    heights = _apart([(end.y - bottom) / (top - bottom) for end in ends], _LABEL_GAP)
    for end, height in zip(ends, heights):
        axes.annotate(
            end.arm,
            xy=(end.x, end.y),
            xycoords="data",
            xytext=(1.025, height),
            textcoords="axes fraction",
            color=end.colour,
            va="center",
            fontweight="bold",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": end.colour,
                "alpha": 0.45,
                "linewidth": 0.8,
                "shrinkA": 1,
                "shrinkB": 3,
            },
        )


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """The same ascending heights, moved as little as need be to lie at least `gap` apart."""
    groups: list[list[float]] = []  # each: the wanted heights of labels that touch
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _first(groups[-1], gap) < _last(groups[-2], gap) + gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_first(group, gap) + gap * place for group in groups for place in range(len(group))]


def _first(group: Sequence[float], gap: float) -> float:
    return float(np.mean(group)) - gap * (len(group) - 1) / 2


def _last(group: Sequence[float], gap: float) -> float:
    return float(np.mean(group)) + gap * (len(group) - 1) / 2
