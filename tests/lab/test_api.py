"""A study run from Python."""

import pytest

import allyouneed as ayn

from .studies import write_coin


def test_a_report_has_claims_measurements_a_figure_and_a_page(tmp_path):
    report = ayn.run(str(write_coin(tmp_path)), out=tmp_path / "runs", seeds=5, jobs=2, quiet=True)
    assert report.claims["C1"].word == "holds"
    assert report.measurements["toss"].values("heads", "fair").shape == (5,)
    assert report.figure.axes
    assert report._repr_html_().startswith("<iframe")
    assert "C1  holds" in str(report)


def test_an_option_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(TypeError, match="speed"):
        ayn.run(str(write_coin(tmp_path)), out=tmp_path / "runs", speed=9)
