"""Images in three splits: digits, shapes, batches and their order."""

import sys

import numpy as np
import pytest
import torch

from allyouneed.data import is_built_in, kind_of, open_data
from allyouneed.data.images.batches import ImageBatch
from allyouneed.data.images.images import Pictures, split_images
from allyouneed.data.images.shapes import CLASSES, RELATIONS
from allyouneed.errors import MissingExtra, UserError


def some_pictures(n=10, seed=0, channels=1):
    random = np.random.default_rng(seed)
    return Pictures(random.integers(256, size=(n, channels, 3, 4), dtype=np.uint8), np.arange(n))


@pytest.mark.parametrize(("name", "n", "shape"), [("digits", 1797, (1, 8, 8)), ("shapes", 30_000, (1, 16, 16))])
def test_every_picture_is_in_one_split(name, n, shape):
    pytest.importorskip("sklearn")
    images = open_data(name, "images")
    parts = [images.train, images.tune, images.test]
    assert sum(map(len, parts)) == n
    seen = [{picture.tobytes() for picture in part.pixels} for part in parts]
    assert len(set().union(*seen)) == sum(map(len, seen))
    for part, share in zip(parts, (0.7, 0.15, 0.15)):
        assert len(part) / n == pytest.approx(share, abs=0.02)
        assert part.pixels.shape == (len(part), *shape)
        assert part.pixels.dtype == np.uint8
        assert np.unique(part.labels).tolist() == list(range(len(images.classes)))
    assert images.shape == shape
    assert (images.train.pixels.min(), images.train.pixels.max()) == (0, 255)
    assert (images.name, kind_of(name), is_built_in(name)) == (name, "images", True)


def test_digits_are_the_packages_own_sixteenths():
    from sklearn.datasets import load_digits

    images = open_data("digits", "images")
    ours = {(p.tobytes(), int(n)) for part in (images.train, images.tune) for p, n in zip(part.pixels, part.labels)}
    theirs = {
        (np.rint(picture * 255 / 16).astype(np.uint8).tobytes(), int(label))
        for picture, label in zip(load_digits().images, load_digits().target)
    }
    assert ours < theirs


def test_the_version_follows_pictures_labels_and_names():
    pixels = np.random.default_rng(0).integers(256, size=(60, 1, 2, 2), dtype=np.uint8)
    labels = np.arange(60) % 2
    versions = {
        split_images("x", pixels, labels, ["a", "b"]).version,
        split_images("x", 255 - pixels, labels, ["a", "b"]).version,
        split_images("x", pixels, 1 - labels, ["a", "b"]).version,
        split_images("x", pixels, labels, ["a", "c"]).version,
        split_images("x", pixels.reshape(60, 1, 4, 1), labels, ["a", "b"]).version,
    }
    assert len(versions) == 5
    assert split_images("y", pixels, labels, ["a", "b"]).version in versions


def test_a_picture_stays_in_its_split_when_others_go():
    pixels = np.random.default_rng(0).integers(256, size=(200, 1, 2, 2), dtype=np.uint8)
    labels = np.zeros(200, dtype=np.int64)
    whole, half = split_images("x", pixels, labels, ()), split_images("x", pixels[::2], labels[::2], ())
    for split in ("train", "tune", "test"):
        of_half = {picture.tobytes() for picture in getattr(half, split).pixels}
        assert of_half <= {picture.tobytes() for picture in getattr(whole, split).pixels}


def test_too_few_pictures_are_refused():
    pixels = np.random.default_rng(0).integers(256, size=(3, 1, 2, 2), dtype=np.uint8)
    with pytest.raises(UserError, match="x has too few pictures"):
        split_images("x", pixels, np.zeros(3, dtype=np.int64), ())
    pixels = np.random.default_rng(0).integers(256, size=(60, 1, 2, 2), dtype=np.uint8)
    with pytest.raises(UserError, match="too few pictures of dog"):
        split_images("x", pixels, np.zeros(60, dtype=np.int64), ("cat", "dog"))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    with pytest.raises(MissingExtra, match=r"allyouneed\[images\]"):
        open_data("digits", "images")


def test_shapes_lie_as_their_class_says():
    images = open_data("shapes", "images")
    for picture, label in zip(images.test.pixels[:200, 0], images.test.labels[:200]):
        bright = picture >= 100
        down, right = np.nonzero(bright)
        relation = RELATIONS[label % len(RELATIONS)]
        wide, tall = np.ptp(right), np.ptp(down)
        # The longer way between the shapes is the one that the class names.
        assert (relation in ("left of", "right of")) == (wide > tall) or wide == tall, CLASSES[label]
        assert 10 <= bright.sum() <= 98  # two crosses at least, two squares at most


def test_a_batch_lies_between_minus_one_and_one():
    pictures = some_pictures()
    batch = ImageBatch.of(pictures)
    assert batch.pixels.dtype == torch.float32
    expected = (torch.from_numpy(pictures.pixels.astype(np.float64)) / 255 - 0.5) / 0.5
    torch.testing.assert_close(batch.pixels.double(), expected, rtol=0, atol=1e-6)
    assert batch.labels.tolist() == list(range(10))
    assert pictures.pixels.max() > 1  # the bytes themselves stay


@pytest.mark.parametrize("batch_size", [3, 10, 25])
def test_every_epoch_has_every_picture_once_in_another_order(batch_size):
    stream = some_pictures().stream(batch_size, seed=1)
    drawn = torch.cat([next(stream).labels for _ in range(100)]).tolist()
    epochs = [drawn[at : at + 10] for at in range(0, 200, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 15


def test_a_stream_goes_on_where_it_was_and_only_there():
    pictures = some_pictures()
    stream = pictures.stream(4, seed=1)
    for _ in range(7):
        next(stream)
    again = pictures.stream(4, seed=1)
    again.load_state_dict(stream.state_dict())
    assert torch.equal(next(again).labels, next(stream).labels)
    for other in (some_pictures(seed=1).stream(4, seed=1), pictures.stream(4, seed=2), pictures.stream(5, seed=1)):
        with pytest.raises(ValueError, match="another"):
            other.load_state_dict(stream.state_dict())


def test_batches_are_the_pictures_in_order():
    labels = [batch.labels.tolist() for batch in some_pictures().batches(4)]
    assert labels == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [len(batch.labels) for batch in some_pictures().batches(4, limit=5)] == [4, 1]
    for batch_size, limit in ((0, None), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            some_pictures().batches(batch_size, limit)
    with pytest.raises(ValueError, match="no pictures"):
        some_pictures(0).stream(1, 0)
