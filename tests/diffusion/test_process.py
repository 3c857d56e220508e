"""Schedules, the formulas of the chain, and the loop of the samplers, against what they are defined by."""

import pytest
import torch

from allyouneed.diffusion import (
    DDIM,
    Ancestral,
    Cosine,
    Linear,
    Listed,
    PredictMean,
    PredictNoise,
    PredictX0,
    Process,
    fixed_large,
    fixed_small,
    sample,
    trajectory,
)
from allyouneed.diffusion.process import add_noise, noise_of_x0, posterior_mean
from allyouneed.diffusion.timesteps import SPACINGS, leading, linspace, trailing

SCHEDULE = Linear(30, 2e-3, 0.3)
PREDICTIONS = [PredictNoise(), PredictX0(), PredictMean()]


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("schedule", [Linear(), Linear.scaled(50), Cosine(40), Listed(2, (0.5, 0.25))])
def test_what_is_left_falls_from_step_to_step(schedule):
    left = schedule.alphas_cumprod
    assert left.dtype == torch.float64
    assert len(left) == schedule.n_steps
    torch.testing.assert_close(left[0], 1 - schedule.betas[0])
    assert bool((left[1:] < left[:-1]).all())


def test_fewer_steps_destroy_as_much():
    assert float(Linear.scaled(100).alphas_cumprod[-1]) < 2 * float(Linear().alphas_cumprod[-1])
    assert Linear.scaled(1000) == Linear()


@pytest.mark.parametrize(("n_steps", "start", "end"), [(0, 0.1, 0.2), (5, 0.0, 0.2), (5, 0.1, 1.0)])
def test_a_schedule_that_is_none(n_steps, start, end):
    with pytest.raises(ValueError, match=r"at least 1 step|between 0 and 1"):
        Linear(n_steps, start, end)


def test_listed_betas_must_be_as_many_as_the_steps():
    with pytest.raises(ValueError, match="3 steps need as many betas, got 2"):
        Listed(3, (0.1, 0.2))


def test_a_moment_ends_at_the_data():
    at = SCHEDULE.at(torch.tensor([0, 5]), drawn(2, 1, 4, 4))
    assert at.alpha_bar.shape == (2, 1, 1, 1)
    torch.testing.assert_close(at.beta.flatten(), SCHEDULE.betas[[0, 5]])
    assert at.alpha_bar_before.flatten()[0] == 1
    assert at.posterior_variance.flatten()[0] == 0


@pytest.mark.parametrize("before", [-1, 3, 11])
def test_the_step_back_is_what_bayes_says(before):
    """q(x_before | x_t, x_0) from the joint covariance of (x_before, x_t) given x_0."""
    t, x0, xt = torch.tensor([12]), drawn(1, 3), drawn(1, 3, seed=1)
    at = SCHEDULE.at(t, xt, torch.tensor([before]))
    left = float(SCHEDULE.alphas_cumprod[12])
    left_before = float(SCHEDULE.alphas_cumprod[before]) if before >= 0 else 1.0
    between = (left / left_before) ** 0.5  # x_t = between x_before + noise
    gain = between * (1 - left_before) / (1 - left)
    mean = left_before**0.5 * x0 + gain * (xt - left**0.5 * x0)
    torch.testing.assert_close(posterior_mean(x0, xt, at), mean, rtol=1e-12, atol=1e-12)
    variance = (1 - left_before) - gain * between * (1 - left_before)
    assert float(fixed_small(at)) == pytest.approx(variance, rel=1e-10, abs=1e-14)
    assert float(fixed_large(at)) == pytest.approx(1 - left / left_before, rel=1e-12)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_right_answer_gives_the_picture_back(prediction):
    t, x0, noise = torch.tensor([0, 7, 29]), drawn(3, 2, 5), drawn(3, 2, 5, seed=1)
    at = SCHEDULE.at(t, x0)
    xt = add_noise(x0, noise, at)
    torch.testing.assert_close(noise_of_x0(x0, xt, at), noise, rtol=1e-9, atol=1e-9)
    answer = prediction.target(x0, noise, xt, at)
    torch.testing.assert_close(Process(SCHEDULE, prediction, clip=None).x0(answer, xt, t), x0, rtol=1e-9, atol=1e-9)
    assert float(Process(SCHEDULE, prediction, clip=0.3).x0(answer, xt, t).abs().max()) <= 0.3


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("sampler", ["small", "large", "ddim"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_who_knows_the_picture_ends_there(prediction, sampler, spacing):
    """With the one true picture for its answer every sampler arrives at it, whatever steps it takes."""
    picture, process = drawn(2, 6), Process(SCHEDULE, prediction, clip=None)

    def knows(xt, t):
        at = SCHEDULE.at(t, xt)
        return prediction.target(picture, noise_of_x0(picture, xt, at), xt, at)

    samplers = {"small": Ancestral(process), "large": Ancestral(process, fixed_large), "ddim": DDIM(process, 0.5)}
    x = sample(knows, drawn(2, 6, seed=1), samplers[sampler], SPACINGS[spacing](30, 7), torch.Generator())
    torch.testing.assert_close(x, picture, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim_with_all_the_noise_is_ddpm(prediction, clip):
    """Song et al., section 4.1: with eta = 1 DDIM takes DDPM's steps with the small variance."""
    process = Process(SCHEDULE, prediction, clip)

    def net(xt, t):
        return torch.tanh(xt + t[:, None] / 30)

    steps = linspace(30, 30)
    first, second = (
        sample(net, drawn(4, 3), sampler, steps, torch.Generator().manual_seed(1))
        for sampler in (DDIM(process, eta=1.0), Ancestral(process))
    )
    torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-8)
    without = sample(net, drawn(4, 3), DDIM(process), steps)
    assert not torch.allclose(without, second, atol=0.1)


def test_float32_pictures_stay_float32_and_have_exact_factors():
    exact, process = drawn(3, 4), Process(SCHEDULE)
    t = torch.tensor([0, 4, 29])
    at = SCHEDULE.at(t, exact)
    xt = add_noise(exact.float(), exact.float(), at)
    assert xt.dtype == torch.float32
    torch.testing.assert_close(xt.double(), add_noise(exact, exact, at), rtol=1e-6, atol=1e-6)
    assert process.x0(xt, xt, t).dtype == torch.float32


def test_the_way_is_shown_stage_by_stage():
    process = Process(SCHEDULE, PredictX0(), clip=None)
    stages = list(trajectory(lambda xt, t: xt / 2, drawn(2, 3), Ancestral(process), [20, 9, 0], torch.Generator()))
    assert [stage.t for stage in stages] == [20, 9, 0]
    torch.testing.assert_close(stages[-1].x, stages[-1].x0)
    torch.testing.assert_close(stages[0].x0, drawn(2, 3) / 2)


@pytest.mark.parametrize("steps", [[3, 3, 0], [1, 2], [5, -1]])
def test_steps_that_do_not_fall(steps):
    with pytest.raises(ValueError, match="must fall"):
        sample(lambda xt, t: xt, drawn(1, 2), Ancestral(Process(SCHEDULE)), steps)


def test_steps_of_a_short_way():
    assert linspace(1000, 5) == [999, 749, 500, 250, 0]
    assert leading(1000, 4) == [750, 500, 250, 0]
    assert trailing(1000, 4) == [999, 749, 499, 249]
    for spacing in (linspace, leading, trailing):
        assert spacing(8, 8) == [7, 6, 5, 4, 3, 2, 1, 0]
        assert len(spacing(8, 1)) == 1
        for n_steps in (0, 9):
            with pytest.raises(ValueError, match="1 to 8 can be taken"):
                spacing(8, n_steps)


def test_no_eta_beyond_ddpms_noise():
    with pytest.raises(ValueError, match="eta"):
        DDIM(Process(SCHEDULE), eta=1.5)
