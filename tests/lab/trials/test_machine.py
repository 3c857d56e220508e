import json
import subprocess
import sys

from allyouneed.lab.trials.machine import machine

ASK = """
import json, sys
from allyouneed.lab.trials.machine import machine
print(json.dumps([machine(), "torch" not in sys.modules]))
"""


def asked() -> tuple[dict, bool]:
    run = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True, text=True)
    return tuple(json.loads(run.stdout))


def test_asking_does_not_load_torch_and_yet_knows_its_version():
    import torch

    found, torch_stayed_out = asked()
    assert torch_stayed_out
    assert found["torch"] == torch.__version__
    assert (found["gpu"], found["cpu_capability"]) == (None, None)


def test_the_numbers_are_those_of_torch_where_it_is_loaded():
    import torch

    found = machine()
    assert found["threads"] == torch.get_num_threads() == 1
    assert found["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert found["cores"] >= 1
    assert found["cpu"] not in ("", None)


def test_without_torch_the_threads_are_those_asked_for(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert machine()["threads"] == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert machine()["threads"] == machine()["cores"]


def test_the_answer_is_plain_json_and_stays_the_same():
    assert json.loads(json.dumps(machine())) == machine()
