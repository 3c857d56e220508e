"""Killed and resumed equals never stopped, bit for bit; nothing is ever lost but the time since the last save."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from allyouneed.errors import UserError
from allyouneed.training import NonFiniteLoss, fit

SCRIPT = Path(__file__).with_name("tiny.py")


@pytest.fixture(scope="module")
def unbroken(tiny):
    return tiny.train(None)


def assert_same_end(resumed, unbroken):
    assert resumed["log"] == unbroken["log"]
    assert resumed["served"] == unbroken["served"]
    assert resumed["tensors"].keys() == unbroken["tensors"].keys()
    for name, tensor in resumed["tensors"].items():
        assert torch.equal(tensor, unbroken["tensors"][name]), name


def press_ctrl_c_at(at):
    return lambda step, model: signal.raise_signal(signal.SIGINT) if step == at else None


@pytest.mark.parametrize(
    ("kill", "resumes_from"),
    [
        ("in a step", 5),
        ("before the tensors are whole", 5),
        ("before the rename", 5),
        ("before the older one is removed", 6),
    ],
)
def test_a_killed_training_ends_as_if_it_had_never_stopped(tiny, unbroken, tmp_path, kill, resumes_from):
    child = subprocess.run([sys.executable, SCRIPT, tmp_path, kill], capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    resumed = tiny.train(tmp_path)
    assert resumed["resumed_from"] == resumes_from
    assert_same_end(resumed, unbroken)
    assert [path.name for path in tmp_path.iterdir()] == [f"step-{tiny.STEPS}"]


def test_a_finished_training_called_again_returns_its_final_weights_without_a_step(tiny, unbroken, tmp_path):
    tiny.train(tmp_path)
    told, steps = [], []
    again = tiny.train(tmp_path, log=lambda **entry: told.append(entry), after_step=[lambda s, m: steps.append(s)])
    assert steps == []
    assert again["resumed_from"] == tiny.STEPS
    assert told == unbroken["log"]
    assert_same_end(again, unbroken)


def test_ctrl_c_saves_after_the_step_and_the_same_call_goes_on(tiny, unbroken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path, after_step=[press_ctrl_c_at(4)], checkpoint_seconds=1e9)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = tiny.train(tmp_path, checkpoint_seconds=1e9)
    assert resumed["resumed_from"] == 4
    assert_same_end(resumed, unbroken)


def test_checkpoints_are_due_by_time_and_the_last_step_is_always_saved(tiny, tmp_path):
    saved = []
    tiny.train(tmp_path, checkpoint_seconds=1e9, after_step=[lambda s, m: saved.extend(tmp_path.iterdir())])
    assert saved == []
    assert [path.name for path in tmp_path.iterdir()] == [f"step-{tiny.STEPS}"]


def assert_refused_but_intact(tiny, folder, refuse):
    """The sixth checkpoint is refused; the fifth is named and is all that is left."""
    with pytest.raises(UserError, match=r"checkpoint of step 6 could not be written.*step-5 is intact"):
        tiny.train(folder, after_step=[lambda step, model: refuse() if step == 6 else None])
    assert [path.name for path in folder.iterdir()] == ["step-5"]


def assert_goes_on_from_step_5(tiny, folder, unbroken):
    resumed = tiny.train(folder)
    assert resumed["resumed_from"] == 5
    assert_same_end(resumed, unbroken)


def test_a_full_disk_leaves_the_checkpoint_before_intact(tiny, unbroken, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert_refused_but_intact(tiny, tmp_path, lambda: monkeypatch.setattr(os, "fsync", full))
    monkeypatch.undo()
    assert_goes_on_from_step_5(tiny, tmp_path, unbroken)


def test_a_write_that_the_system_refuses_leaves_the_checkpoint_before_intact(tiny, unbroken, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        assert_refused_but_intact(tiny, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_goes_on_from_step_5(tiny, tmp_path, unbroken)


def test_a_first_checkpoint_that_cannot_be_written_says_that_there_is_none(tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="none was there yet"):
        tiny.train(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lr": 0.01}, "learning rates is"),
        ({"max_steps": 20}, "max_steps is 20 here and 12 there"),
        ({"seed": 1}, "seed is 1 here and 0 there"),
        ({"eps": 1e-9}, "eps is 1e-09 here and 1e-08 there"),
        ({"grad_clip": None}, "grad_clip is None here and 1.0 there"),
    ],
)
def test_a_folder_of_another_training_is_refused_and_the_difference_named(tiny, tmp_path, changed, said):
    tiny.train(tmp_path)
    with pytest.raises(UserError, match=said):
        tiny.train(tmp_path, **changed)


def test_two_models_of_one_shape_cannot_take_each_others_checkpoint(tiny, tmp_path, monkeypatch):
    tiny.train(tmp_path)
    first_randn = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: 2 * first_randn(*shape, **options))
    with pytest.raises(UserError, match="weights at the start"):
        tiny.train(tmp_path)


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:-9] + b"123456789"])
def test_a_damaged_checkpoint_is_refused_by_name(tiny, tmp_path, file, damage):
    tiny.train(tmp_path)
    path = tmp_path / f"step-{tiny.STEPS}" / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=f"step-{tiny.STEPS} is damaged"):
        tiny.train(tmp_path)


def test_a_non_finite_loss_names_the_step_and_leaves_the_last_good_checkpoint(tiny, unbroken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path, after_step=[press_ctrl_c_at(7)], checkpoint_seconds=1e9)
    steps: list[int] = []

    def poisoned(model, batch):
        loss = tiny.next_token(model, batch)
        return replace(loss, total=loss.total * torch.nan) if steps[-1:] == [8] else loss

    with pytest.raises(NonFiniteLoss, match=r"step 9: the loss is nan.*the last good checkpoint is .*step-7") as caught:
        tiny.train(
            tmp_path, objective=poisoned, after_step=[lambda step, model: steps.append(step)], checkpoint_seconds=1e9
        )
    assert caught.value.step == 9
    assert caught.value.checkpoint == tmp_path / "step-7"
    assert_same_end(tiny.train(tmp_path), unbroken)


def test_a_stream_without_a_state_cannot_be_resumed(tiny, tmp_path):
    batch = {"tokens": torch.zeros(2, 3, dtype=torch.long), "targets": torch.zeros(2, 3, dtype=torch.long)}
    with pytest.raises(TypeError, match="stream needs state_dict"):
        fit(tiny.TinyLM(), tiny.next_token, iter([batch]), max_steps=1, lr=0.1, dir=tmp_path)


def frozen_training(tiny, dir, stop_at=None):
    """The embedding is frozen, and moved by hand in every step; the norm's bias is frozen and left alone."""

    def move(step, model):
        model.embedding.weight += 0.01 * step
        press_ctrl_c_at(stop_at)(step, model)

    model = tiny.TinyLM()
    model.embedding.weight.requires_grad_(False)
    model.norm.bias.requires_grad_(False)
    fit(model, tiny.next_token, tiny.SelfPlay(model), max_steps=5, lr=0.1, after_step=[torch.no_grad()(move)], dir=dir)
    return model


def test_what_is_frozen_is_saved_only_if_it_has_moved(tiny, tmp_path):
    whole = frozen_training(tiny, None)
    with pytest.raises(KeyboardInterrupt):
        frozen_training(tiny, tmp_path, stop_at=3)
    saved = {tensor.shape for tensor in load_file(tmp_path / "step-3" / "tensors.safetensors").values()}
    assert whole.embedding.weight.shape in saved
    names = json.loads((tmp_path / "step-3" / "state.json").read_text())["state"]["training"]["model"]
    assert "norm.weight" in str(names)
    assert "norm.bias" not in str(names)
    resumed = frozen_training(tiny, tmp_path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
