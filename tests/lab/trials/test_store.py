import dataclasses
import errno
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.trials.result import TrialResult
from allyouneed.lab.trials.store import TrialStore

SPEC = {"arm": "rope", "seed": 3, "scale": {"lens": (16, 64), "lr": 1e-3}, "tuned": {}}
RESULT = TrialResult(
    trial="train",
    arm="rope",
    seed=3,
    measurements={"loss": 1.25, "per_item": [0.1, math.inf]},
    log=[{"step": 1, "loss": 2.5}],
    shown={"sample": "héllo"},
    seconds=0.5,
    factors={},
)


@pytest.fixture
def store(tmp_path):
    return TrialStore(tmp_path / "trials")


def saved(store, result=RESULT):
    key = store.key(SPEC)
    store.save(key, SPEC, result)
    return key, store.root / f"{key}.json"


def test_what_was_saved_is_loaded(store):
    key, _ = saved(store)
    assert TrialStore(store.root).load(key) == RESULT
    assert store.damaged == []


def test_not_a_number_survives(store):
    key, path = saved(store, dataclasses.replace(RESULT, measurements={"loss": math.nan}))
    assert math.isnan(store.load(key).measurements["loss"])
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_an_unknown_key_is_missing_and_not_damaged(store):
    assert store.load(store.key(SPEC)) is None
    assert store.damaged == []
    assert not store.root.exists()


def test_the_key_depends_on_every_value_but_not_on_their_order(store):
    assert store.key(dict(reversed(SPEC.items()))) == store.key(SPEC)
    others = [SPEC | {"seed": 4}, SPEC | {"scale": {"lens": (16, 65), "lr": 1e-3}}, SPEC | {"tuned": {"lr": math.nan}}]
    assert len({store.key(spec) for spec in [SPEC, *others]}) == 4


def test_a_spec_that_json_cannot_hold_is_refused(store):
    with pytest.raises(TypeError, match="not JSON serializable"):
        store.key({"arm": object()})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "not whole JSON"),
        (lambda text: b"", "not whole JSON"),
        (lambda text: b"\xff\xfe\x00" + text, "not whole JSON"),
        (lambda text: b"[]", "holds no trial"),
        (lambda text: b"{}", "lacks 'sha256'"),
        (lambda text: text.replace(b"1.25", b"1.24"), "checksum"),
        (lambda text: text.replace(b'"seed": 3', b'"seed": 4', 1), "checksum"),
    ],
    ids=["truncated", "empty", "binary", "a list", "no fields", "another result", "another spec"],
)
def test_a_damaged_file_is_reported_and_taken_as_missing(store, damage, reason):
    key, path = saved(store)
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert store.load(key) is None
    (message,) = store.damaged
    assert str(path) in message
    assert reason in message
    assert "run again" in message


def test_a_file_under_another_trials_name_is_not_believed(store):
    _, path = saved(store)
    other = store.key(SPEC | {"seed": 4})
    path.rename(store.root / f"{other}.json")
    assert store.load(other) is None
    assert "another trial" in store.damaged[0]


def test_the_work_folder_stays_until_the_result_is_saved(store):
    key = store.key(SPEC)
    (store.work_dir(key) / "checkpoint").write_text("half way")
    assert (store.work_dir(key) / "checkpoint").read_text() == "half way"
    folder = store.work_dir(key)
    store.save(key, SPEC, RESULT)
    assert not folder.exists()


def test_a_full_disk_leaves_the_work_folder_and_the_older_result(store, monkeypatch):
    key, _ = saved(store)
    folder = store.work_dir(key)

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full"):
        store.save(key, SPEC, dataclasses.replace(RESULT, seconds=9.0))
    assert folder.exists()
    assert store.load(key) == RESULT
    assert {path.name for path in store.root.iterdir()} == {f"{key}.json", ".work"}


def test_many_may_save_and_load_the_same_trial_at_once(store):
    key, _ = saved(store)

    def save_and_load(_):
        mine = TrialStore(store.root)
        mine.save(key, SPEC, RESULT)
        return mine.load(key), mine.damaged

    with ThreadPoolExecutor(8) as pool:
        assert all(found == (RESULT, []) for found in pool.map(save_and_load, range(40)))
