"""The small training that the tests of this room share."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def tiny():
    """The module `tiny.py`, which is also the script that the kill tests start."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tiny.py"))))
