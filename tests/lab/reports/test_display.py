"""What a run says while it runs, in a terminal and in a pipe."""

import io

import pytest
from rich.console import Console

from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options
from allyouneed.lab.reports.display import LineDisplay, LiveDisplay, make_display

from ..studies import write_coin


def watch(file, out, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    run_study(Options(str(file), out=out, jobs=2, seeds=5), make_display(console))
    return console.file.getvalue()


def test_a_terminal_gets_the_live_display_and_a_pipe_gets_lines():
    assert isinstance(make_display(Console(file=io.StringIO(), force_terminal=True)), LiveDisplay)
    assert type(make_display(Console(file=io.StringIO()))) is LineDisplay


def test_in_a_pipe_each_finished_trial_is_a_line(tmp_path):
    said = watch(write_coin(tmp_path), tmp_path / "runs", terminal=False)
    assert "6 tuning trials: 0 reused, 6 to run" in said
    assert "10 trials: 0 reused, 10 to run" in said
    assert "[10/10] toss" in said
    assert "\x1b" not in said
    again = watch(write_coin(tmp_path), tmp_path / "runs", terminal=False)
    assert "10 trials: 10 reused, 0 to run" in again


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failed_trial_is_named_with_the_place_in_its_code(tmp_path, terminal):
    file = write_coin(tmp_path, hook="assert seed != 3, '[tails] again'")
    said = watch(file, tmp_path / "runs", terminal)
    assert "failed" in said
    assert "seed 3" in said
    assert "[tails] again" in said
    assert "coin_study.py" in said


def test_a_terminal_shows_trials_at_work_with_their_losses(tmp_path):
    said = watch(write_coin(tmp_path, pause=0.15), tmp_path / "runs", terminal=True)
    assert "toss · fair · seed" in said
    assert "loss" in said
    assert "left" in said
