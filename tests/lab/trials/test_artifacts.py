import importlib
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from allyouneed.errors import UserError
from allyouneed.lab.trials.artifacts import artifact

RECIPES = '''
import time
from pathlib import Path


def base(run, size, counter, wait=0.0):
    """Writes two files, with time between them to be killed in."""
    (run.dir / "weights").write_text(f"{run.seed} {size}")
    with open(counter, "a") as file:
        file.write("made\\n")
    time.sleep(wait)
    (run.dir / "config").write_text("whole")


def failing(run):
    (run.dir / "weights").write_text("half")
    raise RuntimeError("out of luck")


def idle(run):
    pass
'''


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    (tmp_path / "some_recipes.py").write_text(RECIPES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_recipes", raising=False)
    yield importlib.import_module("some_recipes")
    del sys.modules["some_recipes"]


@pytest.fixture
def counter(tmp_path):
    return tmp_path / "counter"


def ask(tmp_path, recipe, args, **given):
    given = {"seed": 0, "data": None} | given
    return artifact(
        tmp_path / "artifacts", recipe, lambda dir: SimpleNamespace(dir=dir, **given), args=args, given=given
    )


def make(tmp_path, recipe, counter, size=1, **given):
    return ask(tmp_path, recipe, {"size": size, "counter": str(counter)}, **given)


def ask_in_a_process(tmp_path, counter, wait):
    """Another process that asks for the artifact which a recipe takes `wait` seconds to make."""
    code = (
        "import some_recipes; from pathlib import Path; from types import SimpleNamespace\n"
        "from allyouneed.lab.trials.artifacts import artifact\n"
        "print('ready', flush=True); input()\n"
        f"print(artifact(Path({str(tmp_path / 'artifacts')!r}), some_recipes.base,"
        " lambda dir: SimpleNamespace(dir=dir, seed=0), given={'seed': 0, 'data': None},"
        f" args={{'size': 1, 'counter': {str(counter)!r}, 'wait': {wait}}}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_an_artifact_is_made_once_and_found_again(tmp_path, recipes, counter):
    folder = make(tmp_path, recipes.base, counter)
    assert make(tmp_path, recipes.base, counter) == folder
    assert counter.read_text() == "made\n"
    assert (folder / "weights").read_text() == "0 1"
    about = json.loads((folder / "artifact.json").read_text())
    assert (about["recipe"], about["given"]["seed"], about["args"]["size"]) == ("base", 0, "1")


def test_another_seed_text_argument_or_recipe_makes_another(tmp_path, recipes, counter):
    folders = {make(tmp_path, recipes.base, counter, size, seed=seed) for seed, size in [(0, 1), (1, 1), (0, 2)]}
    folders.add(make(tmp_path, recipes.base, counter, data="another text"))
    file = tmp_path / "some_recipes.py"
    file.write_text(RECIPES.replace('"whole"', '"other"'))
    folders.add(make(tmp_path, recipes.base, counter))
    file.write_text(RECIPES.replace('"whole")', '"whole")  # a comment'))
    folders.add(make(tmp_path, recipes.base, counter))
    assert len(folders) == 5
    assert counter.read_text() == "made\n" * 5


def test_a_failing_recipe_leaves_nothing(tmp_path, recipes):
    with pytest.raises(RuntimeError, match="out of luck"):
        ask(tmp_path, recipes.failing, {})
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.name in ("weights", "artifact.json")] == []


def test_a_recipe_that_writes_nothing_is_named(tmp_path, recipes):
    with pytest.raises(UserError, match="'idle' wrote nothing"):
        ask(tmp_path, recipes.idle, {})


def test_an_argument_that_cannot_be_described_is_refused_before_anything_is_made(tmp_path, recipes):
    with pytest.raises(UserError, match="frozen dataclass"):
        ask(tmp_path, recipes.base, {"size": object()})
    assert not (tmp_path / "artifacts").exists()


def test_two_processes_asking_at_once_make_it_once(tmp_path, recipes, counter):
    askers = [ask_in_a_process(tmp_path, counter, wait=0.5) for _ in range(2)]
    for asker in askers:
        assert asker.stdout.readline() == "ready\n"
    answers = []
    for asker in askers:
        asker.stdin.write("go\n")
        asker.stdin.flush()
    for asker in askers:
        answers.append(asker.communicate(timeout=30)[0].strip())
        assert asker.returncode == 0
    assert answers[0] == answers[1] != ""
    assert counter.read_text() == "made\n"


def test_killed_while_making_the_next_to_ask_gets_a_whole_one(tmp_path, recipes, counter, monkeypatch):
    killed = ask_in_a_process(tmp_path, counter, wait=60)
    killed.stdin.write("go\n")
    killed.stdin.flush()
    deadline = time.monotonic() + 30
    while not counter.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    root = tmp_path / "artifacts"
    assert [path.name for path in root.iterdir() if not path.name.startswith(".")] == []
    (left_over,) = (root / ".making").iterdir()
    (left_over / "stale").write_text("of the dead process")

    monkeypatch.setattr(recipes.time, "sleep", lambda seconds: None)
    folder = ask(tmp_path, recipes.base, {"size": 1, "counter": str(counter), "wait": 60})
    assert {path.name for path in folder.iterdir()} == {"weights", "config", "artifact.json"}
    assert counter.read_text() == "made\nmade\n"
    assert list((root / ".making").iterdir()) == []
