"""The room against data for which everything has a closed form: mixtures of Gaussians."""

import itertools
import math

import numpy as np
import pytest
import torch

from allyouneed.diffusion import (
    DDIM,
    Ancestral,
    Bound,
    Density,
    Discretised,
    GaussianMixture,
    Linear,
    PredictMean,
    PredictNoise,
    PredictX0,
    Process,
    Simple,
    TrueBound,
    bound_terms,
    fixed_large,
    fixed_small,
    frechet_distance,
    sample,
)
from allyouneed.diffusion.process import add_noise
from allyouneed.diffusion.timesteps import linspace

MIXTURE = GaussianMixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([[1.5, 0.0], [-1.0, 0.5]], dtype=torch.float64),
    torch.tensor([[[0.1, 0.0], [0.0, 0.3]], [[0.2, 0.1], [0.1, 0.15]]], dtype=torch.float64),
)
PREDICTIONS = [PredictNoise(), PredictX0(), PredictMean()]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def energy_distance(a, b):
    """2 E|a - b| - E|a - a'| - E|b - b'|: 0 for two samples of one distribution, up to chance."""
    own = [torch.cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b)]
    return float(2 * torch.cdist(a, b).mean() - own[0] - own[1])


def test_density_and_score_by_hand():
    """One component, along one axis: x_t ~ N(sqrt(ab) m, ab v + 1 - ab)."""
    one = GaussianMixture(*(torch.tensor(x, dtype=torch.float64) for x in ([1.0], [[2.0]], [[[0.25]]])))
    x, ab = torch.tensor([[0.3], [-1.0]], dtype=torch.float64), torch.tensor([0.9, 0.2], dtype=torch.float64)
    variance = ab * 0.25 + 1 - ab
    away = x[:, 0] - ab.sqrt() * 2
    torch.testing.assert_close(one.log_density(x, ab), -(away**2 / variance + (2 * math.pi * variance).log()) / 2)
    torch.testing.assert_close(one.score(x, ab)[:, 0], -away / variance)
    torch.testing.assert_close(one.x0(x, ab)[:, 0], 2 + ab.sqrt() * 0.25 / variance * away)


def test_the_score_is_the_densitys_gradient():
    x = torch.randn(7, 2, generator=seeded(0), dtype=torch.float64, requires_grad=True)
    ab = torch.linspace(0.01, 0.99, 7, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(MIXTURE.log_density(x, ab).sum(), x)
    torch.testing.assert_close(MIXTURE.score(x.detach(), ab), gradient, rtol=1e-9, atol=1e-9)


def test_the_guess_is_the_mean_of_what_it_may_have_been():
    """E[x_0 | x_t] by importance sampling over draws of x_0."""
    xt, ab = torch.tensor([[0.2, -0.1]], dtype=torch.float64), 0.5
    x0 = MIXTURE.sample(100_000, seeded(0))
    weights = (-((xt - ab**0.5 * x0) ** 2).sum(1) / (2 * (1 - ab))).softmax(0)
    torch.testing.assert_close(MIXTURE.x0(xt, ab)[0], weights @ x0, rtol=0, atol=0.02)  # 5 standard errors


def test_a_fitted_gaussian_has_the_datas_moments():
    x = MIXTURE.sample(500, seeded(0)).view(500, 2, 1)
    again = GaussianMixture.fitted(x).sample(200_000, seeded(1))
    torch.testing.assert_close(again.mean(0), x.flatten(1).mean(0), rtol=0, atol=0.015)
    torch.testing.assert_close(torch.cov(again.T), torch.cov(x.flatten(1).T, correction=0), rtol=0, atol=0.015)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("method", ["small", "large", "ddim"])
def test_exact_denoisers_sample_the_data(method, prediction):
    process = Process(Linear.scaled(150), prediction, clip=None)
    samplers = {"small": Ancestral(process), "large": Ancestral(process, fixed_large), "ddim": DDIM(process)}
    noise = torch.randn(1500, 2, generator=seeded(1), dtype=torch.float64)
    x = sample(MIXTURE.denoiser(process), noise, samplers[method], linspace(150, 150), seeded(2))
    data = [MIXTURE.sample(1500, seeded(10 + i)) for i in range(5)]
    chance = [energy_distance(a, b) for a, b in itertools.combinations(data, 2)]
    assert energy_distance(x, data[0]) < np.mean(chance) + 5 * np.std(chance)
    # The test can tell: neither one Gaussian with these moments nor a shift by a tenth of a deviation passes.
    gaussian = GaussianMixture.fitted(data[1]).sample(1500, seeded(3))
    assert energy_distance(gaussian, data[0]) > np.mean(chance) + 5 * np.std(chance)
    assert energy_distance(x + 0.2, data[0]) > np.mean(chance) + 5 * np.std(chance)


def terms(process, bound, x0, denoise=None):
    """The mean of each term of the bound, on the same draws whenever it is asked."""
    found = bound_terms(denoise or MIXTURE.denoiser(process), x0, bound, seeded(1))
    return np.array([float(term.nats.mean()) for term in found])


def test_the_bound_tends_to_the_exact_likelihood():
    x0 = MIXTURE.sample(16_000, seeded(0))
    exact = -float(MIXTURE.log_density(x0).mean())
    gaps = []
    for n_steps in (25, 100, 400):
        process = Process(Linear.scaled(n_steps), clip=None)
        # Data with a smooth density end in a step as wide as the first is on the way there.
        bound = Bound(process, Density(), fixed_large, decoder_variance=float(process.schedule.betas[0]))
        gaps.append(terms(process, bound, x0).sum() - exact)
    # About as 1 / n_steps; one draw of every x_t leaves a standard error of 0.01.
    assert gaps[0] > 0.1
    assert gaps[1] < 0.35 * gaps[0]
    assert abs(gaps[2]) < 0.03


def test_what_is_predicted_makes_no_difference_to_who_knows_all():
    x0, schedule = MIXTURE.sample(50, seeded(0)), Linear.scaled(30)
    processes = [Process(schedule, prediction, clip=None) for prediction in PREDICTIONS]
    first, *others = [terms(process, Bound(process, Density()), x0) for process in processes]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-9, atol=1e-9)


def test_no_denoiser_does_better_than_the_exact_one():
    x0, process = MIXTURE.sample(4000, seeded(0)), Process(Linear.scaled(60), clip=None)
    bound, best = Bound(process, Density()), MIXTURE.denoiser(process)
    exact, worse = terms(process, bound, x0), terms(process, bound, x0, lambda x, t: 0.5 * best(x, t))
    assert (worse[1:] > exact[1:]).all()
    assert worse[0] == exact[0]  # nothing is guessed yet


@pytest.mark.parametrize("variance", [fixed_small, fixed_large])
def test_terms_of_the_bound_are_divergences_of_normals(variance):
    process = Process(Linear(20, 0.01, 0.3), PredictX0(), clip=None)
    x0, xt = (torch.randn(3, 4, generator=seeded(i), dtype=torch.float64) for i in (0, 1))
    guess, t = 0.5 * xt, torch.tensor([1, 7, 19])
    bound = Bound(process, Density(), variance)
    at = process.schedule.at(t, xt)
    normal = torch.distributions.Normal
    q = normal(process_mean(x0, xt, at), at.posterior_variance.sqrt())
    p = normal(process_mean(guess, xt, at), variance(at).sqrt())
    expected = torch.distributions.kl_divergence(q, p).sum(1)
    torch.testing.assert_close(bound.term(guess, x0, xt, t), expected, rtol=1e-10, atol=1e-12)
    last = normal(torch.zeros(()), torch.ones(()))
    kept = process.schedule.alphas_cumprod[-1]
    prior = torch.distributions.kl_divergence(normal(kept.sqrt() * x0, (1 - kept).sqrt()), last).sum(1)
    torch.testing.assert_close(bound.prior(x0), prior, rtol=1e-10, atol=1e-12)


def process_mean(x0, xt, at):
    return (at.alpha_bar_before.sqrt() * at.beta * x0 + at.alpha.sqrt() * (1 - at.alpha_bar_before) * xt) / (
        1 - at.alpha_bar
    )


def test_the_last_term_is_the_decoders_with_the_variance_of_the_step_before():
    process = Process(Linear(20, 0.01, 0.3), PredictX0(), clip=None)
    x0, xt = (torch.randn(2, 4, generator=seeded(i), dtype=torch.float64) for i in (0, 1))
    second = process.schedule.at(torch.tensor([1]), xt).posterior_variance
    expected = -torch.distributions.Normal(0.5 * xt, second.sqrt()).log_prob(x0).sum(1)
    for variance in (fixed_small, fixed_large):
        term = Bound(process, Density(), variance).term(0.5 * xt, x0, xt, torch.tensor([0, 0]))
        torch.testing.assert_close(term, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_levels", [2, 17, 256])
def test_discretised_masses_add_up_to_one(n_levels):
    levels = torch.linspace(-1, 1, n_levels, dtype=torch.float64)[:, None]
    for mean, variance in ((0.0, 1.0), (0.37, 1e-3), (-2.0, 0.01), (1.0, 1e-4)):
        means, wide = torch.full_like(levels, mean), torch.full((1, 1), variance, dtype=torch.float64)
        nll = Discretised(n_levels).nll(levels, means, wide)
        assert float((-nll).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_what_is_improbable_keeps_its_gradient():
    """60 deviations away the mass is below what float32 can hold, and its logarithm is still right."""
    mean = torch.tensor([[-1.0, 1.0, -0.5]], requires_grad=True)
    x0, variance = torch.tensor([[1.0, -1.0, 0.0]]), torch.full((1, 1), 1e-3)
    nll = Discretised(256).nll(x0, mean, variance)
    assert bool(nll.isfinite().all())
    assert float(nll.detach()[0, 0]) == pytest.approx((2 - 1 / 255) ** 2 / 2e-3, rel=0.01)
    nll.sum().backward()
    expected = torch.tensor([[-2.0, 2.0, -0.5]]) / 1e-3
    torch.testing.assert_close(mean.grad, expected, rtol=0.02, atol=0)


def test_wild_guesses_of_other_steps_leave_the_gradient_whole():
    """At the noisy end a guess that is not clipped is in the thousands; the decoder has no business there."""
    process = Process(Linear.scaled(25), clip=None)
    output = torch.full((2, 3), 30.0, requires_grad=True)
    term = Bound(process, Discretised(17)).term(output, torch.ones(2, 3), torch.ones(2, 3), torch.tensor([0, 24]))
    term.sum().backward()
    assert bool(output.grad.isfinite().all())


class Answer(torch.nn.Module):
    """A denoiser with one number to learn."""

    def __init__(self, denoise):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.denoise = denoise

    def forward(self, xt, t):
        return self.factor * self.denoise(xt, t)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_objectives_are_means_over_random_steps(prediction):
    process = Process(Linear(12, 0.01, 0.4), prediction, clip=0.1)  # training must not clip
    model, x0 = Answer(MIXTURE.denoiser(process)), MIXTURE.sample(3000, seeded(0))
    free = Process(process.schedule, prediction, clip=None)
    bound = Bound(process, Density())
    errors, terms = [], []
    for step in range(12):
        t = torch.full((3000,), step)
        noise = torch.randn(3000, 2, generator=seeded(step), dtype=torch.float64)
        at = process.schedule.at(t, x0)
        xt = add_noise(x0, noise, at)
        errors.append((model(xt, t) - prediction.target(x0, noise, xt, at)).square().mean())
        terms.append(Bound(free, Density()).term(model(xt, t), x0, xt, t).mean() / 2)
    many = x0.repeat(20, 1)
    torch.manual_seed(0)
    simple = Simple(process)(model, many)
    assert simple.count == many.numel()
    torch.testing.assert_close(simple.mean, torch.stack(errors).mean(), rtol=0.02, atol=0)
    torch.testing.assert_close(TrueBound(bound)(model, many).mean, torch.stack(terms).sum(), rtol=0.05, atol=0)


def test_the_exact_denoiser_is_where_the_losses_are_least():
    process = Process(Linear(12, 0.01, 0.4), clip=None)
    for objective in (Simple(process), TrueBound(Bound(process, Density()))):
        losses = []
        for factor in (0.9, 1.0, 1.1):
            model = Answer(MIXTURE.denoiser(process))
            model.factor.data.fill_(factor)
            torch.manual_seed(0)
            losses.append(float(objective(model, MIXTURE.sample(20_000, seeded(0))).mean.detach()))
        assert losses[1] < min(losses[0], losses[2])


def test_frechet_distance_by_hand():
    random = np.random.default_rng(0)
    a = random.normal(size=(300, 4))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + np.array([3, 0, 4, 0])) == pytest.approx(25, rel=1e-9)
    # Along its own axes: the sum of (s_a - s_b)^2.
    white = (a - a.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(a.T))).T
    assert frechet_distance(white * np.array([1, 2, 3, 4]), white * np.array([2, 2, 1, 0])) == pytest.approx(
        1 + 4 + 16, rel=1e-7
    )
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(a, a[:1])
