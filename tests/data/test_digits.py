"""scikit-learn's digits in three splits."""

import sys

import pytest
import torch

from allyouneed.data.digits import digits
from allyouneed.errors import MissingExtra


def test_every_image_is_in_one_split():
    pytest.importorskip("sklearn")
    splits = digits()
    parts = [splits.train, splits.tune, splits.test]
    assert sum(len(part) for part in parts) == 1797
    images = [{image.numpy().tobytes() for image in part.images} for part in parts]
    assert len(set().union(*images)) == sum(len(part) for part in images)
    for part, share in zip(parts, (0.7, 0.15, 0.15)):
        assert len(part) / 1797 == pytest.approx(share, abs=0.02)
        assert part.images.shape == (len(part), 8, 8)
        assert part.images.dtype == torch.float32
        assert (part.images.min(), part.images.max()) == (0, 1)
        assert part.labels.unique().tolist() == list(range(10))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    with pytest.raises(MissingExtra, match=r"allyouneed\[images\]"):
        digits()
