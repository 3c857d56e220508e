"""train and predict, from a folder of class folders to probabilities."""

import json

import numpy as np
import pytest

from allyouneed.cli import train as command

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def pictures(tmp_path):
    """Dark and light pictures, forty of each, in class folders."""
    random = np.random.default_rng(0)
    for number in range(80):
        kind = "light" if number % 2 else "dark"
        values = random.integers(60, size=(12, 10, 3), dtype=np.uint8) + 180 * (number % 2)
        (tmp_path / "pictures" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / "pictures" / kind / f"{number}.png")
    return tmp_path / "pictures"


WORDS = ("--steps", "12", "--batch-size", "16", "--size", "8", "--lr", "0.003")


def test_train_then_predict(cli, pictures, tmp_path):
    answer = cli("train", "--model", "vit-tiny", "--data", str(pictures), *WORDS)
    assert answer.code == 0, answer.err
    assert "test accuracy: 1" in answer.out
    assert "next: allyouneed predict --model vit-tiny PICTURE" in answer.out
    asked = [str(pictures / "dark" / "0.png"), str(pictures / "light" / "1.png")]
    shown = cli("predict", "--model", "vit-tiny", *asked, "--rollout", "where.png")
    assert shown.code == 0, shown.err
    assert "where it looks: where.png" in shown.out
    with Image.open(tmp_path / "where.png") as drawn:
        assert drawn.size == ((2 * 8 + 1) * 16, (2 * 8 + 1) * 16)
    found = json.loads(cli("predict", "--model", "vit-tiny", *asked, "--json").out)["pictures"]
    assert [next(iter(entry["classes"])) for entry in found] == ["dark", "light"]
    assert [entry["picture"] for entry in found] == asked


def test_results_as_json(cli, pictures):
    answer = cli("train", "--model", "vit-tiny", "--data", str(pictures), *WORDS, "--out", "mine", "--json")
    found = json.loads(answer.out)
    assert found["folder"] == "mine"
    assert found["next"] == "allyouneed predict --model mine PICTURE"
    assert found["test_accuracy"] == 1
    assert answer.err == ""


def test_ctrl_c_says_how_to_go_on(cli, pictures, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("allyouneed.recipes.image_classifier.train", interrupted)
    answer = cli("train", "--model", "vit-tiny", "--data", str(pictures), *WORDS)
    assert answer.code == 130
    assert "goes on from there" in answer.err


def test_bad_input(cli, pictures, tmp_path):
    assert "vit-tiny, ddpm" in cli("train", "--model", "vit-huge", "--data", str(pictures)).err
    assert "and digits is none" in cli("train", "--model", "vit-tiny", "--data", "digits", "--size", "8").err
    assert "no such file" in cli("train", "--model", "vit-tiny", "--data", "nowhere").err
    (tmp_path / "empty").mkdir()
    assert "no picture in" in cli("train", "--model", "vit-tiny", "--data", "empty").err
    (pictures / "dark" / "broken.png").write_bytes(b"")
    assert "broken.png" in cli("train", "--model", "vit-tiny", "--data", str(pictures)).err
    answer = cli("predict", "--model", "nowhere/at/all", "x.png")
    assert (answer.code, "no folder" in answer.err) == (1, True)


@pytest.mark.parametrize("name", command.TRAINERS)
def test_every_model_has_its_function(name):
    module, _, function = command.TRAINERS[name].function.partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))
