"""A trial's `run`: what it logs survives an interruption, once each."""

import json

import pytest

from allyouneed.lab.trials.run import Run


def make(folder, heard=None):
    return Run(folder, 0, "cpu", None, folder / "artifacts", listener=(heard if heard is not None else []).append)


def test_rows_are_kept_in_order_and_told_to_the_listener(tmp_path):
    heard = []
    run = make(tmp_path, heard)
    run.log(step=1, loss=2.0)
    run.log(step=2, loss=1.0)
    assert run.rows == heard == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]


def test_a_resumed_trial_goes_on_with_what_was_logged_and_repeats_count_once(tmp_path):
    make(tmp_path).log(step=1, loss=2.0)
    make(tmp_path).log(step=2, loss=1.0)
    resumed = make(tmp_path)
    resumed.log(step=2, loss=1.5)
    resumed.log(step=3, loss=0.5)
    assert [row["loss"] for row in resumed.rows] == [2.0, 1.5, 0.5]


def test_a_line_cut_by_the_interruption_is_left_out(tmp_path):
    make(tmp_path).log(step=1, loss=2.0)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    make(tmp_path).log(step=2, loss=1.0)
    assert make(tmp_path).rows == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]


def test_two_trainings_in_one_trial_differ_by_a_text(tmp_path):
    run = make(tmp_path)
    run.log(step=1, loss=2.0, phase="base")
    run.log(step=1, loss=1.0, phase="finetune")
    assert len(run.rows) == 2


def test_tensors_and_numpy_numbers_become_plain_numbers(tmp_path):
    torch, numpy = pytest.importorskip("torch"), pytest.importorskip("numpy")
    run = make(tmp_path)
    run.log(step=numpy.int64(3), loss=torch.tensor(0.5))
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 3, "loss": 0.5}
