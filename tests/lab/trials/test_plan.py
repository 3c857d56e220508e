"""A trial's key: all that its result may depend on, and nothing else."""

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.engine import Engine
from allyouneed.lab.options import Options
from allyouneed.lab.trials.executor import Display
from allyouneed.lab.trials.plan import device_type

from ..studies import write_coin


def key(file, tmp_path, arm="fair", seed=0, pause=0.0, **options):
    plan = Engine(Options(str(file), out=tmp_path / "runs", **options), Display()).plan
    return plan.job(plan.study.trials["toss"], arm, seed, {"pause": pause}).key


def test_the_key_is_the_same_for_the_same_question(tmp_path):
    file = write_coin(tmp_path)
    assert key(file, tmp_path) == key(file, tmp_path, jobs=2, seeds=9, claims=("C1",))


@pytest.mark.parametrize(
    "changed", [{"arm": "biased"}, {"seed": 1}, {"pause": 0.001}, {"overrides": {"flips": "7"}}, {"scale": "smoke"}]
)
def test_another_arm_seed_tuned_value_or_scale_is_another_trial(tmp_path, changed):
    file = write_coin(tmp_path)
    assert key(file, tmp_path) != key(file, tmp_path, **changed)


@pytest.mark.parametrize("name", ["minutes", "seeds"])
def test_minutes_and_seeds_of_a_scale_are_no_part_of_a_trial(tmp_path, name):
    file = write_coin(tmp_path)
    assert key(file, tmp_path) == key(file, tmp_path, overrides={name: "3"})


def test_the_data_are_part_of_the_key(tmp_path):
    file = write_coin(tmp_path)
    texts = []
    for number in range(2):
        text = tmp_path / f"text{number}.txt"
        text.write_text(f"some words of text {number}\n" * 500)
        texts.append(key(file, tmp_path, data=str(text)))
    assert len({key(file, tmp_path), *texts}) == 3


def test_a_device_that_is_not_there_is_refused():
    assert device_type("cpu") == "cpu"
    assert device_type("auto") in ("cpu", "cuda")
    with pytest.raises(UserError, match="abacus"):
        device_type("abacus")
