"""What a run says in a notebook: one output, drawn anew in place, without ipywidgets or a terminal."""

import io
import sys
import time
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

import allyouneed as ayn
from allyouneed.lab.engine import Interrupted
from allyouneed.lab.reports.display import LineDisplay, make_display
from allyouneed.lab.reports.notebook import SECONDS, NotebookDisplay

from ..studies import write_coin


class Outputs:
    """Stands in for IPython's display: every output with all that it ever showed."""

    def __init__(self) -> None:
        self.shown: list[list[tuple[float, dict[str, str]]]] = []

    def display(self, bundle, raw, display_id):
        assert raw
        assert display_id is True
        output = [(time.monotonic(), bundle)]
        self.shown.append(output)
        return SimpleNamespace(update=lambda bundle, raw: output.append((time.monotonic(), bundle)))


@pytest.fixture
def outputs(monkeypatch) -> Outputs:
    """A kernel, as far as this process can tell."""
    outputs, ipython, display = Outputs(), ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    display.display = outputs.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return outputs


def test_a_run_is_one_output_that_is_drawn_anew_and_stays_as_it_ended(outputs, tmp_path, capsys):
    ayn.run(str(write_coin(tmp_path, pause=0.1)), out=tmp_path / "runs", seeds=5, jobs=2)
    (output,) = outputs.shown
    texts = [bundle["text/plain"] for _, bundle in output]
    assert any("toss · fair · seed" in text and "loss" in text for text in texts)
    assert any("left" in text for text in texts)
    assert "6 tuning trials: 0 reused, 6 to run" in texts[-1]
    assert "10/10" in texts[-1]
    assert "toss · fair" not in texts[-1]
    assert "10/10" in output[-1][1]["text/html"]
    assert capsys.readouterr() == ("", "")


def test_it_is_drawn_at_most_twice_a_second_but_for_the_ends(outputs, tmp_path):
    ayn.run(str(write_coin(tmp_path, pause=0.1)), out=tmp_path / "runs", seeds=5, jobs=2)
    times = [when for when, _ in outputs.shown[0]]
    early = sum(after - before < 0.8 * SECONDS for before, after in pairwise(times))  # a drawing takes time itself
    assert early <= 3  # the ends of tuning, of the trials and of the run
    assert len(times) > 3


def test_a_failure_is_named_as_it_is_and_html_in_it_is_not_obeyed(outputs, tmp_path):
    ayn.run(str(write_coin(tmp_path, hook="assert seed != 3, '<b>tails</b>'")), out=tmp_path / "runs", seeds=5, jobs=2)
    last = outputs.shown[0][-1][1]
    assert "AssertionError: <b>tails</b>" in last["text/plain"]
    assert "<b>" not in last["text/html"]
    assert "&lt;b&gt;tails" in last["text/html"]


def test_an_interrupted_run_shows_how_far_it_got_and_goes_on_from_there(outputs, tmp_path, monkeypatch):
    file = write_coin(tmp_path, pause=0.1)
    finished = NotebookDisplay.finished

    def stop(self, job):
        finished(self, job)
        if self.total == 10 and self.done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(NotebookDisplay, "finished", stop)
    with pytest.raises(Interrupted, match="stopped after 10 new trials"):
        ayn.run(str(file), out=tmp_path / "runs", seeds=5, jobs=2)
    assert "4/10" in outputs.shown[0][-1][1]["text/plain"]
    monkeypatch.setattr(NotebookDisplay, "finished", finished)
    assert ayn.run(str(file), out=tmp_path / "runs", seeds=5, jobs=2, quiet=True).outcome.reused >= 10
    assert len(outputs.shown) == 1


def test_ipython_in_a_terminal_is_no_notebook(outputs, monkeypatch):
    console = Console(file=io.StringIO())
    assert isinstance(make_display(console), NotebookDisplay)
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert type(make_display(console)) is LineDisplay
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert type(make_display(console)) is LineDisplay


def test_a_report_is_its_page_in_html_and_its_verdicts_in_text(tmp_path):
    report = ayn.run(str(write_coin(tmp_path)), out=tmp_path / "runs", seeds=5, jobs=2, quiet=True)
    assert "srcdoc" in report._repr_html_()
    assert repr(report) == str(report)
    assert len(repr(report).splitlines()) == 5
