"""`allyouneed sample` end to end, on small pipelines without training."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from allyouneed.diffusion import Linear, PredictMean, Process
from allyouneed.diffusion.pictures import as_bytes, grid, write_png
from allyouneed.diffusion.pipeline import Pipeline, save_pipeline
from allyouneed.errors import UserError
from allyouneed.models.unet import UNet, UNetConfig


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    unet = UNet(UNetConfig(height=8, width=8, channels=(8, 16)))
    save_pipeline(Pipeline(unet, Process(Linear.scaled(30)), spacing="trailing"), folder)
    return str(folder)


def test_a_grid_of_pictures(cli, pipeline, tmp_path):
    answer = cli("sample", "--model", pipeline, "--n", "5", "--steps", "4", "--out", "five.png", "--strip")
    assert answer.code == 0, answer.err
    assert "5 pictures of 8 x 8 in 4 steps" in answer.out
    assert Image.open(tmp_path / "five.png").size == (8 * (3 * 9 - 1), 8 * (2 * 9 - 1))
    assert Image.open(tmp_path / "five-strip.png").size == (8 * (4 * 9 - 1), 8 * (5 * 9 - 1))


def test_a_folder_of_pictures_and_the_same_from_the_same_seed(cli, pipeline, tmp_path):
    for name, more in {"a": (), "b": (), "c": ("--seed", "1")}.items():
        words = ("sample", "--model", pipeline, "--n", "3", "--steps", "5", "--sampler", "ddim", "--json")
        answer = cli(*words, "--out", name, *more)
        assert answer.code == 0, answer.err
        found = json.loads(answer.out)
        assert found["steps"] == 5
        assert [file.split("/")[-1] for file in found["files"]] == ["grid.png", "0.png", "1.png", "2.png"]
    a, b, c = (np.asarray(Image.open(tmp_path / name / "grid.png")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_all_steps_unless_told(cli, pipeline):
    assert json.loads(cli("sample", "--model", pipeline, "--n", "1", "--json").out)["steps"] == 30


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steps", "31"), "--steps 31: the chain has 30 steps"),
        (("--sampler", "euler"), "'euler' is neither ddpm nor ddim"),
        (("--eta", "1.5"), "--eta"),
        (("--n", "0"), "--n"),
        (("--device", "tpu"), "device 'tpu' is not there"),
        (("--model", "nowhere"), "nowhere is not the folder of a diffusion pipeline: there is no such folder"),
        (("--model", "."), "it has no model_index.json"),
        (("--out", "taken/file.png"), "taken"),
    ],
)
def test_bad_input_is_named(cli, pipeline, tmp_path, words, message):
    (tmp_path / "taken").write_text("a file where a folder should be")
    answer = cli("sample", "--model", pipeline, "--n", "1", "--steps", "2", *words)
    assert answer.code in (1, 2)
    assert message in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
    assert not (tmp_path / "samples.png").exists()


def test_bytes_of_pictures():
    x = torch.tensor([-3.0, -1.0, 0.0, 1.0, 2.0]).view(1, 1, 1, 5)
    assert as_bytes(x).ravel().tolist() == [0, 0, 128, 255, 255]
    sheet = grid(np.zeros((3, 1, 2, 2), dtype=np.uint8), columns=2)
    assert sheet.shape == (1, 5, 5)
    assert (sheet[0, 2] == 128).all()  # the line between
    assert (sheet[0, 3:, 3:] == 128).all()  # where there is no fourth


def test_files_of_pictures(tmp_path):
    picture = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    write_png(tmp_path / "colour.png", picture, zoom=2)
    read = np.asarray(Image.open(tmp_path / "colour.png"))
    assert np.array_equal(read[::2, ::2].transpose(2, 0, 1), picture)
    with pytest.raises(UserError, match="1 or 3 channels"):
        write_png(tmp_path / "four.png", np.zeros((4, 2, 2), dtype=np.uint8))


def test_what_the_format_cannot_say_is_not_written(tmp_path):
    unet = UNet(UNetConfig(height=8, width=8, channels=(8, 16)))
    with pytest.raises(UserError, match="PredictMean"):
        save_pipeline(Pipeline(unet, Process(Linear(), PredictMean())), tmp_path)
    assert not list(tmp_path.iterdir())
