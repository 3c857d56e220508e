"""The plots, in both themes, from made-up measurements."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.reports import figures, style
from allyouneed.lab.trials.result import TrialResult

from ..outcomes import FLOORS, results


@pytest.fixture
def m() -> Measurements:
    return Measurements(results(), trial="train", arms=list(FLOORS))


def lines_by_arm(figure):
    return {line.get_label(): line for line in figure.axes[0].get_lines() if line.get_label() in FLOORS}


def test_curves_show_the_mean_over_seeds_of_every_arm(m):
    drawn = lines_by_arm(figures.curves(m, "loss"))
    assert list(drawn) == list(FLOORS)
    steps, values = m.curve("loss", "rope")
    np.testing.assert_array_equal(drawn["rope"].get_xdata(), steps)
    np.testing.assert_allclose(drawn["rope"].get_ydata(), values.mean(axis=0))


def test_lines_place_each_measurement_where_it_belongs(m):
    drawn = lines_by_arm(figures.lines(m, ["loss_1x", "loss_4x"], at=[1, 4], x="length", y="loss", mark=1))
    assert drawn["learned"].get_xdata().tolist() == [1, 4]
    assert drawn["learned"].get_ydata()[1] == pytest.approx(m.values("loss_4x", "learned").mean())


def test_bars_show_every_seed(m):
    axes = figures.bars(m, "test_loss", y="loss").axes[0]
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [sorted(line.get_ydata()) for line in dots] == [sorted(m.values("test_loss", arm)) for arm in m.arms]


def test_lines_take_one_vector_as_well(m):
    vectors = [
        TrialResult("train", arm, seed, {"loss": [1.0 + seed, 2.0 + seed]}, [], {}, 1.0, {})
        for arm in FLOORS
        for seed in (0, 1)
        if arm != "learned"  # an arm whose runs failed
    ]
    m = Measurements(vectors, arms=list(FLOORS))
    drawn = lines_by_arm(figures.lines(m, "loss", at=[3, 5], x="layers", y="loss"))
    assert drawn["rope"].get_xdata().tolist() == [3, 5]
    assert drawn["rope"].get_ydata().tolist() == [1.5, 2.5]


GRID = [
    TrialResult(
        "train",
        f"norm={norm}, warmup={warmup}, lr={lr}",
        seed,
        {"loss": loss + seed},
        [],
        {},
        1.0,
        {"norm": norm, "warmup": warmup, "lr": lr},
    )
    for (norm, warmup, lr), loss in {
        ("pre", "none", "1"): 1,
        ("pre", "none", "2"): 2,
        ("pre", "linear", "1"): 3,
        ("pre", "linear", "2"): 4,
        ("post", "none", "1"): 5,
        ("post", "linear", "1"): 7,
        ("post", "linear", "2"): 8,
    }.items()
    for seed in (0, 1)
]


def test_a_matrix_has_a_name_at_each_row_and_column():
    figure = figures.matrix(
        np.array([[0.2, 0.8, 0.0], [0.5, 0.1, 0.4]]), rows="ab", columns="xyz", x="read", y="written"
    )
    (axes,) = figure.axes
    assert axes.images[0].get_array().tolist() == [[0.2, 0.8, 0.0], [0.5, 0.1, 0.4]]
    assert axes.images[0].get_clim() == (0.0, 0.8)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "z"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("read", "written")


def test_a_heatmap_has_the_mean_of_each_cell_in_its_place():
    figure = figures.heatmap(Measurements(GRID), "loss", x="lr", y="warmup", panels="norm", label="nats")
    pre, post = figure.axes
    assert (pre.get_title(loc="left"), post.get_title(loc="left")) == ("pre", "post")
    assert pre.images[0].get_array().tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert {text.get_position(): text.get_text() for text in post.texts} == {
        (0, 0): "5.500",
        (0, 1): "7.500",
        (1, 1): "8.500",
    }
    assert pre.images[0].get_clim() == post.images[0].get_clim() == (1.5, 8.5)
    assert [label.get_text() for label in pre.get_yticklabels()] == ["none", "linear"]


@pytest.mark.parametrize("dark", [False, True])
def test_the_number_in_a_cell_can_be_read(dark):
    drawn = []

    def draw(m):
        drawn.append(figures.heatmap(m, "loss", x="lr", y="warmup", panels="norm", label="nats"))
        return drawn[0]

    figures.draw(draw, Measurements(GRID), dark=dark)
    for axes in drawn[0].axes:
        image = axes.images[0]
        for text in axes.texts:
            column, row = text.get_position()
            cell = luminance(image.cmap(image.norm(image.get_array()[row, column]))[:3])
            light, deep = sorted([cell, luminance(text.get_color())], reverse=True)
            assert (light + 0.05) / (deep + 0.05) >= 3


def test_one_seed_is_drawn_without_a_band():
    alone = Measurements(results(n_seeds=1), trial="train", arms=list(FLOORS))
    for figure in (figures.curves(alone, "loss"), figures.bars(alone, "test_loss", y="loss")):
        assert figure.axes[0].get_lines()


def test_arms_are_named_at_the_ends_of_their_lines_and_not_upon_each_other(m):
    texts = figures.curves(m, "loss").axes[0].texts
    assert {text.get_text() for text in texts} == set(FLOORS)
    heights = sorted(text.get_position()[1] for text in texts)
    assert min(np.diff(heights)) > 0.05


def test_an_arm_keeps_its_colour_in_a_figure_that_shows_few(m):
    few = Measurements([r for r in results() if r.arm == "rope"], trial="train", arms=["rope"])
    figure_of_few = []
    figures.draw(
        lambda few: figure_of_few.append(figures.curves(few, "loss")) or figure_of_few[0], few, arms=list(FLOORS)
    )
    both = [lines_by_arm(figure)["rope"].get_color() for figure in (figures.curves(m, "loss"), *figure_of_few)]
    assert both == [style.LIGHT[2]] * 2


@pytest.mark.parametrize("dark", [False, True])
def test_a_drawing_is_the_same_each_time(m, dark):
    first, second = (figures.draw(lambda m: figures.curves(m, "loss"), m, dark=dark) for _ in range(2))
    assert first == second
    assert first.png.startswith(b"\x89PNG")
    assert "<svg" in first.svg


def luminance(colour):
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


@pytest.mark.parametrize("dark", [False, True])
def test_names_in_the_colour_of_their_line_can_be_read(dark):
    page = luminance(style.style(dark)["figure.facecolor"])
    for colour in style.DARK if dark else style.LIGHT:
        light, deep = sorted([page, luminance(colour)], reverse=True)
        # 3:1 is what WCAG asks of bold text and graphics
        assert (light + 0.05) / (deep + 0.05) >= 3


def test_drawing_leaves_matplotlib_as_it_was(m):
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.draw(lambda m: figures.bars(m, "test_loss", y="loss"), m, dark=True)
    assert dict(matplotlib.rcParams) == before


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8).map(sorted))
def test_labels_are_moved_apart_but_keep_their_order(heights):
    moved = figures._apart(heights, 0.05)
    assert np.mean(moved) == pytest.approx(np.mean(heights), abs=1e-9)
    assert all(b - a >= 0.05 - 1e-9 for a, b in itertools.pairwise(moved))
