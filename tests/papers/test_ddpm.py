"""What the study of ddpm rests on besides the library: its distances and their ends, its code, its pictures as text."""

import numpy as np
import pytest
import torch

from allyouneed.data.open import open_data
from allyouneed.diffusion import Bound, Discretised, GaussianMixture, Linear, Process, Simple
from allyouneed.lab.trials.run import Run
from allyouneed.papers.ddpm import study

SMOKE = study.study.scales["smoke"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return study.Judge(Run(folder, 0, "cpu", open_data("digits", "images"), folder / "artifacts"), SMOKE, 0)


def test_both_ends_of_the_distance_are_measured_on_as_many_pictures(judge):
    assert len(judge.gaussian()) == judge.n == SMOKE.n_drawn
    measured = judge.anchors(judge.test[: judge.n])
    assert measured["distance"] == measured["real"]
    assert measured["of_gaussian"] == pytest.approx(measured["real"] / measured["gaussian"])
    assert judge.distance(judge.train) == pytest.approx(0, abs=1e-6)
    assert "real" in judge.run.shown["distances"]


def test_copies_are_told_from_pictures_of_ones_own(judge):
    assert judge.nearest(judge.train[5:30]) == 0
    assert judge.nearest(judge.test[: judge.n]) == 1
    assert torch.equal(judge.neighbours(judge.train[7:9]), judge.train[7:9])


def test_drawing_is_from_the_same_noise_and_leaves_bytes_as_they_are(judge):
    x = judge.test[:6]
    sheets = {"some": study.sheet(x, 3)}
    (unpacked,) = study.unpacked(study.packed(sheets)).values()
    assert unpacked.shape == (17, 26, 1)
    assert np.array_equal(unpacked[:8, :8, 0], open_data("digits", "images").test.pixels[0, 0])


def test_a_code_tells_what_is_coarse_first(judge):
    """With the best linear denoiser: errors fall, bits add up to less than the digits' own 17 values take."""
    process = Process(Linear.scaled(60))
    linear = GaussianMixture.fitted(judge.train).denoiser(process)
    bits, error = study.coding(linear, judge.test[:50], Bound(process, Discretised(17)))
    assert len(bits) == len(error) == 61
    assert 2 < sum(bits) < np.log2(17)
    assert error[0] == pytest.approx(float(judge.test[:50].square().mean().sqrt()) / 2)
    assert (np.diff(error[1::10]) < 0).all()


def test_a_loss_is_of_the_same_draws_for_all(judge):
    process = Process(Linear.scaled(60))
    linear = GaussianMixture.fitted(judge.train).denoiser(process)
    state = torch.get_rng_state()
    first, again = (study.own_loss(linear, Simple(process), judge.tune[:9]) for _ in range(2))
    assert first == again
    assert torch.equal(torch.get_rng_state(), state)
    assert study.own_loss(lambda xt, t: 0 * xt, Simple(process), judge.tune[:9]) == pytest.approx(1, abs=0.1)
    assert first < 0.3
