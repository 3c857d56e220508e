"""The command line as a promise: its options are a frozen list, each command has an example, and it answers at once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from allyouneed.cli import app

FROZEN = Path(__file__).with_name("cli_options.json")
HEAVY = ("torch", "scipy", "matplotlib", "numpy", "rich.live", "jinja2")


def commands(command: Any, name: str = "allyouneed") -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_the_options_are_the_frozen_ones():
    """Renaming or dropping an option breaks scripts. Adding one is fine: add it to cli_options.json, too."""
    now = {name: sorted(opt for p in c.params for opt in (*p.opts, *p.secondary_opts)) for name, c in COMMANDS.items()}
    assert now == json.loads(FROZEN.read_text())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_and_explains_every_option(name):
    command = COMMANDS[name]
    assert "Example" in (command.epilog or "")
    assert command.epilog.count("allyouneed ") >= 1
    assert command.help
    assert all(p.help for p in command.params if p.name != "help")


LIGHT = {
    "import": "import allyouneed",
    "help": "from allyouneed.cli import main; sys.argv = ['allyouneed', '--help']; main()",
    "run --help": "from allyouneed.cli import main; sys.argv = ['allyouneed', 'run', '--help']; main()",
    "list": "from allyouneed.cli import main; sys.argv = ['allyouneed', 'list']; main()",
    "list --all": "from allyouneed.cli import main; sys.argv = ['allyouneed', 'list', '--all']; main()",
    "reading": "from allyouneed.cli import main; sys.argv = ['allyouneed', 'reading']; main()",
    "show": "from allyouneed.cli import main; sys.argv = ['allyouneed', 'show', 'rope']; main()",
}


@pytest.mark.parametrize("what", LIGHT)
def test_nothing_heavy_is_imported_to_answer(what):
    # Which modules are there, not seconds: what takes 0.2 s here takes 2 s on a busy machine.
    code = f"import sys\ntry:\n    {LIGHT[what]}\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    loaded = done.stderr.split()
    assert "allyouneed" in loaded
    assert not set(HEAVY) & set(loaded)


def test_python_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "allyouneed", "show", "roep"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("allyouneed: there is no paper 'roep'")
    assert "Traceback" not in done.stderr
