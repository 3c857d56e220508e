"""What the study of vit rests on besides the library: equal sizes, equal pictures, positions on a grid."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from allyouneed.blocks import Learned
from allyouneed.data import open_data
from allyouneed.data.images.images import split_images
from allyouneed.errors import UserError
from allyouneed.lab.trials.run import Run
from allyouneed.papers.vit import study

SMOKE, LAPTOP = study.study.scales["smoke"], study.study.scales["laptop"]


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return open_data("digits", "images")


def run_in(folder, data):
    folder.mkdir(exist_ok=True)
    return Run(folder, 0, "cpu", data, folder)


@pytest.mark.parametrize("scale", [name for name in study.study.scales if name not in ("smoke", "gpu")])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
@pytest.mark.parametrize("rival", [study.Convolutions(), study.Perceptron()])
def test_all_networks_have_about_as_many_weights(scale, shape, rival):
    pixels = np.random.default_rng(0).integers(256, size=(80, *shape), dtype=np.uint8)
    images = split_images("x", pixels, np.arange(80) % 10, "0123456789")
    scale = study.study.scales[scale]
    if shape[1] == 8:
        scale = replace(scale, patch=2)
    one, other = (study.n_weights(arm.build(images, scale, 0)) for arm in (study.Transformer(), rival))
    assert abs(one - other) < 0.06 * one  # half a step of the width, which is even


def test_positions_are_told_rows_and_columns(digits):
    model = study.Transformer(study.RowsAndColumns()).build(digits, LAPTOP, 0)
    x = torch.zeros(1, 17, LAPTOP.d_model)
    added = model.positions.embed(x, None)[0]
    assert not added[0].any()
    grid = added[1:].unflatten(0, (4, 4))
    half = LAPTOP.d_model // 2
    assert torch.equal(grid[2, 1, :half], grid[2, 3, :half])
    assert torch.equal(grid[0, 1, half:], grid[3, 1, half:])
    assert not torch.equal(grid[2, 1, :half], grid[1, 1, :half])
    with pytest.raises(ValueError, match="square"):
        study.RowsAndColumns().build(replace(model.config, height=4).sizes)


def test_likeness_tells_neighbours_from_others():
    rows, columns = np.divmod(np.arange(6), 3)
    apart = abs(rows[:, None] - rows) + abs(columns[:, None] - columns)
    alike = np.where(apart == 0, 9.0, np.where(apart == 1, 0.5, -0.25))
    assert study.likeness_by_place(alike, (2, 3)) == {"neighbours": 0.5, "others": -0.25}
    assert study.likeness_by_place(alike, (3, 2)) != {"neighbours": 0.5, "others": -0.25}


def test_likeness_is_the_cosine_of_patches_alone(digits):
    model = study.Transformer().build(digits, LAPTOP, 0)
    alike, table = study.likeness(model), model.positions.table.weight.detach()
    assert alike.shape == (16, 16)
    assert alike[3, 5] == pytest.approx(float(torch.cosine_similarity(table[4], table[6], dim=0)), abs=1e-6)


def test_where_there_are_fewer_pictures_all_numbers_shrink_alike(digits):
    assert study.sizes_of(digits, LAPTOP) == [50, 200, 1200]
    fewer = SimpleNamespace(train=range(120))
    assert study.sizes_of(fewer, LAPTOP) == [5, 20, 120]


def test_a_seed_draws_the_same_pictures_for_all_networks(digits, tmp_path, monkeypatch):
    seen = []

    def watch(model, objective, stream, **_):
        seen.append(sorted(picture.tobytes() for picture in stream.pictures.pixels))

    monkeypatch.setattr(study, "fit", watch)
    for arm, seed in ((study.Transformer(), 0), (study.Convolutions(), 0), (study.Convolutions(), 1)):
        arms = SimpleNamespace(model=arm, images=study.NUMBERS["some"])
        study.learn(arms, seed, SMOKE, run_in(tmp_path, digits), 1e-3)
    assert seen[0] == seen[1] != seen[2]
    assert len(seen[0]) == SMOKE.images[1]


def test_a_resumed_trial_measures_the_same(digits, tmp_path):
    first, again = (study.vary_positions(Learned(), 0, SMOKE, run_in(tmp_path, digits), 1e-2) for _ in range(2))
    assert first == again
    assert {"tune_error", "accuracy", "neighbours", "others"} <= first.keys()


def test_pictures_without_classes_are_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(80, 1, 8, 8), dtype=np.uint8)
    loose = split_images("loose", pixels, np.zeros(80, dtype=np.int64), ())
    arms = SimpleNamespace(model=study.Convolutions(), images=0)
    with pytest.raises(UserError, match="loose has no classes"):
        study.learn(arms, 0, SMOKE, run_in(tmp_path, loose), 1e-3)
