"""Pictures in folders and archives, what is refused of them, and pre-processing as transformers does it."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest

from allyouneed.data import open_data, registry
from allyouneed.data.datasets import Dataset, File
from allyouneed.data.images import files as image_files
from allyouneed.data.images import public as image_sets
from allyouneed.data.images.files import image_folder
from allyouneed.data.images.pixels import SETTINGS, Preprocessing, read_picture
from allyouneed.errors import UserError

Image = pytest.importorskip("PIL.Image")


def write(path, size=(9, 7), mode="RGB", seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    values = np.random.default_rng(seed).integers(256, size=(size[1], size[0], channels), dtype=np.uint8)
    Image.fromarray(values.squeeze(), mode).save(path, **options)
    return values


@pytest.fixture
def folder(tmp_path):
    """Two classes of forty pictures, some of them deeper, and files that are none."""
    for number in range(80):
        kind, deeper = ("cat", "deep/") if number % 4 == 0 else ("dog" if number % 2 else "cat", "")
        write(tmp_path / "pets" / kind / f"{deeper}{number}.png", seed=number)
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "pets" / ".hidden.png").write_text("no picture")
    return tmp_path / "pets"


def test_each_subfolder_is_a_class(folder):
    images = open_data(str(folder), "images")
    assert (images.name, images.classes, images.shape) == ("pets", ("cat", "dog"), (3, 7, 9))
    parts = (images.train, images.tune, images.test)
    assert sum(map(len, parts)) == 80
    assert sum(int((part.labels == 1).sum()) for part in parts) == 40
    of_class = {picture.tobytes(): int(label) for p in parts for picture, label in zip(p.pixels, p.labels)}
    with Image.open(folder / "dog" / "1.png") as opened:
        assert of_class[np.asarray(opened).transpose(2, 0, 1).tobytes()] == 1
    with Image.open(folder / "cat" / "deep" / "4.png") as opened:
        assert of_class[np.asarray(opened).transpose(2, 0, 1).tobytes()] == 0


def test_it_is_read_once_and_a_change_is_seen(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ALLYOUNEED_CACHE", str(tmp_path / "cache"))
    version = image_folder(folder).version
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "read_picture", lambda *_: pytest.fail("it was kept"))
        assert image_folder(folder).version == version
        (folder / "dog").rename(folder / "wolf")
        assert image_folder(folder).classes == ("cat", "wolf")
    write(folder / "cat" / "2.png", seed=1000)
    assert image_folder(folder).version != version


@pytest.mark.parametrize(("size", "side", "becomes"), [((64, 5), None, (5, 64)), ((65, 5), None, (32, 32))])
def test_sizes(tmp_path, size, side, becomes):
    for number in range(30):
        write(tmp_path / f"{number}.png", size, seed=number)
    assert image_folder(tmp_path, side).shape == (3, *becomes)
    assert image_folder(tmp_path, 6).shape == (3, 6, 6)
    write(tmp_path / "other.png", (8, 8))
    assert image_folder(tmp_path).shape == (3, 32, 32)


def test_grey_only_if_all_are(tmp_path):
    for number in range(30):
        write(tmp_path / f"{number}.png", mode="L", seed=number)
    assert image_folder(tmp_path).shape[0] == 1
    write(tmp_path / "colour.png")
    assert image_folder(tmp_path).shape[0] == 3
    assert image_folder(tmp_path).classes == ()


def test_what_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no picture in"):
        image_folder(tmp_path / "empty")
    with pytest.raises(UserError, match=r"0\.png is a file"):
        image_folder(folder / "cat" / "deep" / "0.png")
    (folder / "cat" / "broken.png").write_bytes((folder / "dog" / "1.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"broken\.png is no picture that can be read"):
        image_folder(folder)
    (folder / "cat" / "broken.png").unlink()
    write(folder / "loose.png")
    with pytest.raises(UserError, match=r"beside its class folders, such as loose\.png"):
        image_folder(folder)
    (folder / "loose.png").unlink()
    (folder / "cat").rename(folder / "train")
    (folder / "dog").rename(folder / "Test")
    with pytest.raises(UserError, match="it is split here"):
        image_folder(folder)
    with pytest.raises(UserError, match="digits, shapes, mnist"):
        open_data("python_code", "images")


def test_a_picture_with_deep_pixels_is_refused_and_a_turned_one_turned(tmp_path):
    deep = io.BytesIO()
    Image.fromarray(np.full((4, 4), 1000, dtype=np.uint16)).save(deep, format="PNG")
    with pytest.raises(UserError, match=r"deep\.png has more than 8 bits"):
        read_picture(deep.getvalue(), "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    write(tmp_path / "turned.png", (9, 7), exif=exif)
    assert read_picture((tmp_path / "turned.png").read_bytes(), "turned.png").size == (7, 9)


@pytest.fixture
def public(monkeypatch, tmp_path):
    """Stands in for the public data sets: a folder of files under the pins that they have."""
    monkeypatch.setenv("ALLYOUNEED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALLYOUNEED_DATA", str(tmp_path / "data"))

    def give(name, **contents):
        files = []
        for path, content in contents.items():
            path = path.replace("__", ".").replace("_", "-")
            files.append(File(path, "http://127.0.0.1:9/", len(content), hashlib.sha256(content).hexdigest()))
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / name / f"{path}.gz").write_bytes(gzip.compress(content))
        return Dataset(name, tuple(files), "none", "a stand-in")

    return give


def test_a_file_whose_address_gives_it_packed_is_unpacked(monkeypatch, tmp_path):
    monkeypatch.setenv("ALLYOUNEED_CACHE", str(tmp_path))
    monkeypatch.delenv("ALLYOUNEED_DATA", raising=False)
    content = b"idx" * 1000
    monkeypatch.setattr(registry, "_answer", lambda file: io.BytesIO(gzip.compress(content)))
    for path, url in (("labels", "http://127.0.0.1:9/labels.gz"), ("kept.gz", "http://127.0.0.1:9/kept.gz")):
        given = content if path == "labels" else gzip.compress(content)
        dataset = Dataset("packed", (File(path, url, len(given), hashlib.sha256(given).hexdigest()),), "none", "")
        assert registry.get_file(dataset, dataset.files[0]).read_bytes() == given


def test_mnist_is_read_from_idx_files(public, monkeypatch):
    pixels = np.random.default_rng(0).integers(256, size=(100, 28, 28), dtype=np.uint8)
    labels = (np.arange(100) % 10).astype(np.uint8)
    dataset = public("mnist", images=b"\0" * 16 + pixels.tobytes(), labels=b"\0" * 8 + labels.tobytes())
    monkeypatch.setattr(registry, "DATASETS", (dataset,))
    images = open_data("mnist", "images")
    known = {picture.tobytes(): int(label) for picture, label in zip(pixels, labels)}
    assert images.classes == tuple("0123456789")
    for picture, label in zip(images.train.pixels, images.train.labels):
        assert known[picture.tobytes()] == label


def test_cifar10_is_read_from_its_records_or_a_zip(public, monkeypatch):
    random = np.random.default_rng(0)
    pixels = random.integers(256, size=(100, 3, 32, 32), dtype=np.uint8)
    labels = (np.arange(100) % 10).astype(np.uint8)
    records = np.concatenate([labels[:, None], pixels.reshape(100, -1)], axis=1).tobytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, part in (("x/data_batch_1.bin", records[: 3073 * 60]), ("x/test_batch.bin", records[3073 * 60 :])):
            entry = tarfile.TarInfo(name)
            entry.size = len(part)
            archive.addfile(entry, io.BytesIO(part))
    dataset = public("cifar10", cifar_10__tar__gz=packed.getvalue())
    monkeypatch.setattr(registry, "DATASETS", (dataset,))
    images = open_data("cifar10", "images")
    known = {picture.tobytes(): int(label) for picture, label in zip(pixels, labels)}
    assert sum(map(len, (images.train, images.tune, images.test))) == 100
    assert all(known[p.tobytes()] == label for p, label in zip(images.train.pixels, images.train.labels))
    assert images.classes[3] == "cat"

    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for number in range(100):
            jpeg = io.BytesIO()
            Image.fromarray(pixels[number].transpose(1, 2, 0)).save(jpeg, format="JPEG")
            archive.writestr(f"train/{image_sets.CIFAR10[number % 10]}/{number}.jpg", jpeg.getvalue())
    elsewhere = Dataset("cifar10", (File("none", "http://127.0.0.1:9/", 1, "0" * 64),), "none", "the original")
    monkeypatch.setattr(registry, "DATASETS", (elsewhere,))
    monkeypatch.setattr(image_sets, "AS_JPEG", public("cifar10", pictures__zip=zipped.getvalue()))
    with pytest.warns(UserWarning, match="JPEG pictures only"):
        images = open_data("cifar10", "images")
    assert sorted(np.bincount(images.train.labels + 0, minlength=10) > 0) == [True] * 10
    assert images.shape == (3, 32, 32)


STEPS = [
    {},
    {"size": {"height": 5, "width": 12}, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
    {"resample": 3, "rescale_factor": 1 / 127.5},
    {"do_normalize": False, "size": 9},
]


@pytest.mark.parametrize("changes", STEPS)
@pytest.mark.parametrize("size", [(30, 20), (6, 4)])
def test_pre_processing_equals_transformers(changes, size, tmp_path):
    """To 1/255 of the range and in fact to rounding: both scale bytes with Pillow."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    settings = {"size": {"height": 10, "width": 10}} | changes
    theirs = ViTImageProcessorPil(**settings)
    theirs.save_pretrained(tmp_path)
    picture = Image.fromarray(write(tmp_path / "x.png", size))
    expected = theirs(picture, return_tensors="np")["pixel_values"][0]
    ours = Preprocessing.read(tmp_path, 3, 10, 10)
    np.testing.assert_allclose(ours(picture), expected, rtol=0, atol=1e-5)
    with Image.open(tmp_path / "x.png") as opened:
        np.testing.assert_allclose(ours(read_picture((tmp_path / "x.png").read_bytes(), "x")), ours(opened))
    (tmp_path / "ours").mkdir()
    ours.write(tmp_path / "ours")
    again = ViTImageProcessorPil.from_pretrained(tmp_path / "ours")
    np.testing.assert_allclose(again(picture, return_tensors="np")["pixel_values"][0], expected, rtol=0, atol=1e-5)


def test_settings_that_mean_something_else_are_refused(tmp_path):
    assert Preprocessing.read(tmp_path, 1, 4, 6) == Preprocessing(4, 6, (0.5,), (0.5,))

    def reading(**settings):
        (tmp_path / SETTINGS).write_text(json.dumps(settings))
        return Preprocessing.read(tmp_path, 3, 4, 4)

    assert reading(size=7).height == 7
    for settings in ({"do_center_crop": True}, {"do_resize": False}, {"size": {"shortest_edge": 7}}):
        with pytest.raises(UserError, match=SETTINGS):
            reading(**settings)
    with pytest.raises(UserError, match="2 values for 3 channels"):
        reading(image_mean=[0.5, 0.5])
    (tmp_path / SETTINGS).write_text("{")
    with pytest.raises(UserError, match=f"cannot read .*{SETTINGS}"):
        Preprocessing.read(tmp_path, 3, 4, 4)
