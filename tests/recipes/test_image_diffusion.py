"""Denoisers of pictures as they are trained for studies and for users, at tiny size."""

import numpy as np
import pytest
import torch

from allyouneed.data.images.images import split_images
from allyouneed.diffusion import Linear
from allyouneed.diffusion.pipeline import load_pipeline
from allyouneed.lab.trials.run import Run
from allyouneed.objectives import Loss
from allyouneed.recipes.digit_classifier import N_FEATURES, digit_classifier, features, read_classifier
from allyouneed.recipes.image_diffusion import fit_denoiser, image_diffusion, train, unet_for


@pytest.fixture(scope="module")
def squares():
    """Pictures of 8 x 8 with a light upper (class 0) or lower half (class 1)."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=150)
    pixels = random.integers(100, size=(150, 1, 8, 8), dtype=np.uint8)
    for picture, label in zip(pixels, labels):
        picture[0, 4 * label : 4 * label + 4] += 150
    return split_images("halves", pixels, labels, ["upper", "lower"])


def run_in(folder, data):
    folder.mkdir(exist_ok=True)
    return Run(folder, 0, "cpu", data, folder)


def test_the_classifier_tells_the_classes_and_is_found_again(squares, tmp_path):
    digit_classifier(run_in(tmp_path, squares), max_steps=60)
    model = read_classifier(tmp_path)
    pixels = torch.from_numpy(squares.test.pixels).float() / 127.5 - 1
    assert (model(pixels).argmax(1).numpy() == squares.test.labels).mean() > 0.9
    seen = features(model, pixels)
    assert seen.shape == (len(squares.test), N_FEATURES)
    assert (seen >= 0).all()
    again = read_classifier(tmp_path)
    assert np.array_equal(features(again, pixels), seen)


@pytest.mark.parametrize(
    ("shape", "channels", "attention"),
    [
        ((1, 8, 8), (16, 32), (False, True)),
        ((1, 28, 28), (16, 32, 32), (False, False, True)),
        ((3, 32, 32), (16, 32, 32), (False, False, True)),
        ((3, 64, 48), (16, 32, 32), (False, False, True)),
        ((3, 9, 8), (16,), (True,)),
        ((1, 200, 200), (16, 32, 32), (False, False, False)),
    ],
)
def test_a_unet_for_any_size(shape, channels, attention):
    config = unet_for(shape, 16)
    assert config.channels == channels
    assert config.down_attention == config.up_attention == attention
    assert (config.in_channels, config.height, config.width) == shape


def test_a_users_pictures_become_a_pipeline(squares, tmp_path):
    rows = []
    settings = {"max_steps": 3, "lr": 1e-3, "batch_size": 4, "seed": 0, "device": "cpu"}
    numbers = train(squares, tmp_path / "model", **settings, log=lambda **row: rows.append(row))
    assert rows[-1]["step"] == 3
    assert numbers["tune_loss"] > 0
    pipeline = load_pipeline(tmp_path / "model")
    assert pipeline.process.schedule.n_steps == 1000
    assert pipeline.unet.config.in_channels == 1
    assert not (tmp_path / "model" / "training").exists()


class Number(torch.nn.Module):
    """One weight, whose loss is the weight itself: the optimiser takes it down step by step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def loss(self, batch):
        return Loss(self.weight * len(batch.pixels), len(batch.pixels))


def test_training_ends_with_the_average_of_the_weights(squares):
    model, seen = Number(), []

    def log(**row):  # called behind each update
        seen.append(float(model.weight.detach()))

    fit_denoiser(model, Number.loss, squares, max_steps=20, lr=1.0, batch_size=8, seed=0, log=log)
    average = 0.0
    for weight in seen:
        average += (weight - average) / 2
    assert len(seen) == 20
    assert float(model.weight.detach()) == pytest.approx(average, rel=1e-6)
    assert float(model.weight.detach()) > seen[-1] + 0.01  # behind the last
    assert not model.training


def test_the_recipe_keeps_a_pipeline(squares, tmp_path):
    image_diffusion(run_in(tmp_path, squares), n_steps=30, width=8, max_steps=3, lr=1e-2, batch_size=8)
    pipeline = load_pipeline(tmp_path)
    assert pipeline.process.schedule == Linear.scaled(30)
    assert float(pipeline.unet.conv_out.weight.detach().abs().max()) > 0
