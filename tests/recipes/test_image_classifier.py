"""Classifiers of pictures as users train and ask them, at tiny size."""

import json

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file

from allyouneed.blocks import Rope
from allyouneed.data.images.images import Images, Pictures, split_images
from allyouneed.data.images.pixels import SETTINGS
from allyouneed.errors import UserError
from allyouneed.models import Decoder, DecoderConfig, hub
from allyouneed.recipes.image_classifier import ask, majority, patch_size, right, train, vit_config

Image = pytest.importorskip("PIL.Image")
CALM = {"lr": 3e-3, "batch_size": 32, "seed": 0, "device": "cpu", "log": lambda **_: None}


def halves(classes=("upper", "lower"), n=200, shape=(3, 8, 8)):
    """Pictures whose upper (class 0) or lower half is light."""
    random = np.random.default_rng(0)
    labels = random.integers(max(1, len(classes)), size=n)
    pixels = random.integers(100, size=(n, *shape), dtype=np.uint8)
    for picture, label in zip(pixels, labels):
        picture[:, 4 * label : 4 * label + 4] += 150
    return split_images("halves", pixels, labels, classes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier of halves: its folder, and what training said."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(halves(), folder, max_steps=30, **CALM)


def test_training_says_how_good_it_is_and_leaves_a_checkpoint_of_transformers(trained):
    folder, results = trained
    assert results["accuracy_of_the_commonest_class"] == majority(halves().test)
    assert results["test_accuracy"] > results["accuracy_of_the_commonest_class"] + 0.1
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors", SETTINGS]
    theirs = hf.ViTForImageClassification.from_pretrained(folder).eval()
    assert theirs.config.id2label == {0: "upper", 1: "lower"}
    ours, batch = hub.load(folder), next(halves().test.batches(8))
    with torch.no_grad():
        torch.testing.assert_close(ours(batch.pixels), theirs(batch.pixels).logits, rtol=1e-4, atol=1e-4)


def test_what_it_says_of_a_file_is_what_transformers_says(trained, tmp_path):
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    folder, _ = trained
    pixels = np.full((20, 30, 3), 30, dtype=np.uint8)
    pixels[10:] = 220
    Image.fromarray(pixels).save(tmp_path / "below.png")
    (answer,) = ask(folder, [tmp_path / "below.png"], "cpu")
    assert next(iter(answer.probabilities)) == "lower"
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    model = hf.ViTForImageClassification.from_pretrained(folder).eval()
    inputs = ViTImageProcessorPil.from_pretrained(folder)(Image.fromarray(pixels), return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits.softmax(1)[0]
    assert [answer.probabilities[name] for name in ("upper", "lower")] == pytest.approx(expected.tolist(), abs=1e-4)
    assert answer.shares.shape == (4, 4)
    assert answer.shares.sum() == pytest.approx(1, abs=1e-5)
    assert answer.seen.shape == answer.shaded().shape == (3, 8, 8)
    assert (answer.shaded() <= answer.seen).all()
    assert (answer.shaded() < answer.seen).any()


def test_an_interrupted_training_goes_on(tmp_path):
    def stop(step, **_):
        if step == 4:
            raise KeyboardInterrupt

    images, settings = halves(), CALM | {"max_steps": 6, "batch_size": 4}
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path / "stopped", **settings | {"log": stop})
    assert not (tmp_path / "stopped" / "config.json").exists()
    steps = []
    train(images, tmp_path / "stopped", **settings | {"log": lambda step, **_: steps.append(step)})
    assert steps[-1] == 6
    train(images, tmp_path / "whole", **settings)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("stopped", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (halves(classes=()), "has no classes"),
        (halves(classes=("upper",)), r"one class only \(upper\)"),
        (halves(shape=(3, 11, 13)), "--size 32"),
        (halves(shape=(3, 8, 2)), "--size 32"),
    ],
)
def test_images_that_make_no_classifier(images, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train(images, tmp_path, max_steps=1, **CALM)


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (28, 4), (32, 4), (64, 8), (224, 28)])
def test_patches_follow_from_the_pictures(side, patch, tmp_path):
    part = Pictures(np.zeros((2, 1, side, side), dtype=np.uint8), np.arange(2))
    images = Images("zeros", "", ("a", "b"), part, part, part)
    assert vit_config(images, patch=patch_size(images), d_model=8, n_layers=1, n_heads=1).patches.size == patch


def test_right_counts_picture_by_picture():
    part = halves().test

    def darkness(pixels):
        light = pixels.mean((1, 3))
        return torch.stack((light[:, :4].mean(1), light[:, 4:].mean(1)), 1)

    model = torch.nn.Linear(1, 1)
    model.forward = darkness
    assert right(model, part).all()
    wrong = Pictures(part.pixels, 1 - part.labels)
    assert not right(model, wrong).any()
    assert majority(Pictures(part.pixels[:5], np.array([1, 1, 0, 1, 2]))) == 0.6


def test_what_cannot_answer_says_so(trained, tmp_path):
    folder, _ = trained
    with pytest.raises(UserError, match=r"nothing\.png"):
        ask(folder, [tmp_path / "nothing.png"])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"broken\.png is no picture"):
        ask(folder, [tmp_path / "broken.png"])
    hub.save(Decoder(DecoderConfig(vocab_size=9, positions=Rope())), tmp_path / "decoder")
    with pytest.raises(UserError, match="no classifier of pictures"):
        ask(tmp_path / "decoder", [])
    hub.save(hub.load(folder), tmp_path / "other")
    (tmp_path / "other" / SETTINGS).write_text(json.dumps({"size": 9}))
    with pytest.raises(UserError, match="9 x 9, but its model reads 8 x 8"):
        ask(tmp_path / "other", [])
