"""Commands are called in this process, through the same `main` that the installed command calls."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from allyouneed.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path) -> Callable[..., Answer]:
    """Call the command line in an empty folder: `cli("show", "rope")`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("ALLYOUNEED_HOME", str(tmp_path / "home of the user"))

    def call(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["allyouneed", *words])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call
