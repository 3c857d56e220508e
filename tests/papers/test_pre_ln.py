"""What the study of pre_ln rests on besides the library: its formula, its start, its curves, and runs that diverge."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from allyouneed.blocks import PostNorm, PreNorm
from allyouneed.lab.trials.run import Run
from allyouneed.lab.trials.worker import open_data
from allyouneed.papers.pre_ln import study

SMOKE = study.study.scales["smoke"]


@pytest.fixture(scope="module")
def text():
    return open_data("python_code", study.study)


def run_in(folder, text):
    folder.mkdir(exist_ok=True)
    return Run(folder, 0, "cpu", text, folder)


def arm(norm, lr):
    return SimpleNamespace(norm=norm, warmup=0.0, lr=lr)


def test_the_formula_is_the_norms_own_backward_pass():
    y, g = torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y.requires_grad_()
    (expected,) = torch.autograd.grad(F.layer_norm(y, (9,), eps=0.0), y, g)
    torch.testing.assert_close(study.layer_norm_backwards(y, g), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", [PreNorm(), PostNorm()])
def test_the_theorys_model_attends_to_all_alike_and_starts_from_xavier(norm):
    model = study.theorys_model(norm, depth=2, d_model=64, seed=0)
    x = torch.randn(1, 6, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(model(x)[:, [5, 0, 1, 2, 3, 4]], model(x[:, [5, 0, 1, 2, 3, 4]]))
    for name in ("up", "down"):
        weight = getattr(model.layers[0].sublayers["feedforward"], name).weight
        assert float(weight.detach().std()) == pytest.approx(1 / 8, rel=0.05)  # 4096 draws: 1.1 % deviation
    first = model.layers[0].sublayers["mixer"]
    assert not first.q.weight.any()
    assert not first.k.weight.any()


def test_xavier_looks_at_both_ends_and_at_no_depth():
    layers = nn.ModuleDict({"wide": nn.Linear(50, 150), "narrow": nn.Linear(150, 50)})
    study.xavier(layers, seed=0)
    assert [float(m.weight.detach().std()) for m in layers.values()] == pytest.approx([0.1, 0.1], rel=0.03)
    assert not torch.equal(layers["wide"].weight.flatten(), layers["narrow"].weight.flatten())


def test_a_run_that_diverges_counts_as_a_uniform_guess(tmp_path, text):
    measured = study.train(arm(PreNorm(), 1e30), 0, SMOKE, run_in(tmp_path, text))
    uniform = math.log(256)
    assert measured == {"tune_loss": uniform, "loss": uniform, "losses": [uniform] * study.POINTS}


def test_a_resumed_training_has_its_whole_curve(tmp_path, text):
    first, again = (study.train(arm(PostNorm(), 1e-3), 0, SMOKE, run_in(tmp_path, text)) for _ in range(2))
    assert first == again
    assert len(first["losses"]) == study.POINTS


@pytest.mark.parametrize(
    ("loss", "share"), [(3.0, 0.5), (2.5, 0.75), (2.0, 1.0), (5.0, 0.25), (1.0, 2.0), (3.5, 0.375)]
)
def test_where_a_curve_first_reaches_a_loss(loss, share):
    assert study.updates_to(loss, np.array([4.0, 3.0, 2.5, 2.0])) == pytest.approx(share)
