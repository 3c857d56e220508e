"""What the recorded runs promise to whoever repeats them."""

import pytest

from allyouneed.lab.loading import load_study
from allyouneed.lab.reports import records

RECORDED = [r for r in records.read_records([records.results_root()]) if r.scale == "laptop"]


@pytest.mark.parametrize("record", RECORDED, ids=lambda record: record.paper)
def test_the_trials_fit_the_minutes_that_the_scale_states(record):
    smaller = record.values.get("smaller", {}).values()
    results = [*record.values["results"], *(result for of_size in smaller for result in of_size)]
    core_minutes = sum(result["seconds"] for result in results) / 60
    study = load_study(record.paper)
    scale = study.scale("laptop", data=record.data)
    assert core_minutes / 2 <= 1.5 * scale.minutes  # on two cores, which other work may slow
    assert core_minutes <= 30 or scale != study.scales["laptop"]  # data of their own scale may take longer


@pytest.mark.parametrize("record", RECORDED, ids=lambda record: record.paper)
def test_a_record_comes_from_committed_sources_with_at_least_five_pairs(record):
    assert record.values["commit"]["dirty"] is False
    for judgement in record.judgements:
        if judgement.evidence and judgement.evidence.unit == "seeds":
            assert judgement.evidence.n >= 5
