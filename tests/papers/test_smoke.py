"""Every study of the house at smoke scale: it runs, is judged, and its declarations keep the rules."""

import pytest

from allyouneed.lab import papers
from allyouneed.lab.engine import run_study
from allyouneed.lab.loading import load_study
from allyouneed.lab.options import Options

SLUGS = [notes.slug for notes in papers.all_papers()]


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory):
    """The outcome of each study, run once."""
    folder = tmp_path_factory.mktemp("runs")
    return {slug: run_study(Options(slug, scale="smoke", jobs=1, out=folder)) for slug in SLUGS}


@pytest.mark.parametrize("slug", SLUGS)
def test_the_study_runs_and_judges_every_claim(slug, outcomes):
    outcome = outcomes[slug]
    assert not outcome.failures
    assert {j.id for j in outcome.judgements} == set(outcome.study.claims)
    asked = getattr(outcome.scale, "claims", ()) or outcome.study.claims
    errors = [j for j in outcome.judgements if j.word == "not run" and outcome.study.claims[j.id].not_run is None]
    assert not [j.id for j in errors if j.id in asked]


@pytest.mark.parametrize("slug", SLUGS)
def test_smoke_takes_at_most_five_core_seconds(slug, outcomes):
    # Trials only, as measured inside them: the start of a worker is not the study's. Three times the
    # limit, because the machine that runs the tests is busy with other tests meanwhile.
    assert outcomes[slug].core_minutes * 60 < 15


@pytest.mark.parametrize("slug", SLUGS)
def test_every_trial_that_trains_has_a_gate(slug):
    study = load_study(slug)
    gated = {gate.trial for gate in study.gates}
    trained = {trial.name for trial in study.trials.values() if trial.tune}
    assert trained <= gated


@pytest.mark.parametrize("slug", SLUGS)
def test_scales_claims_and_figures_are_complete(slug):
    study = load_study(slug)
    assert {"smoke", "laptop", "gpu"} <= set(study.scales)
    assert study.scales["laptop"].minutes <= 15  # 30 core-minutes on two cores
    assert study.figures
    assert all(claim.paper and claim.statement for claim in study.claims.values())
