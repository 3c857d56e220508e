"""Exclusive trials: contenders by turns, one result each, and nothing beside them."""

import io
import json

from rich.console import Console

from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options
from allyouneed.lab.reports.display import LiveDisplay

NAPS = '''
"""Which nap is longer?"""

import time
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    unit: float = 0.002
    minutes: float = 0.01


study = Study(paper="naps", scales={"laptop": Scale()})
CALLS = "CALLS_FILE"


@study.timing(arm={"short": 1, "long": 3}, rounds=8, memory=True)
def nap(arm, scale, run):
    block = bytearray(arm * 30_000_000)

    def sleep():
        block[::4096] = b"x" * len(block[::4096])
        with open(CALLS, "a") as file:
            file.write(str(arm))
        time.sleep(arm * scale.unit)

    return sleep


@study.claim("C1", paper="3 times (Table 1)", trial=nap)
def longer(m):
    """The long nap takes more than twice as long."""
    return m.ratio("seconds", "long", to="short", above=2, unit="rounds")


@study.claim("C2", paper="3 times (Table 1)", trial=nap)
def larger(m):
    """In every round the long nap takes more than 40 MB beyond what the short one takes."""
    return m.effect(lambda u: u["long"]["peak_bytes"] - u["short"]["peak_bytes"], unit="exact").above(40e6)
'''


def test_contenders_take_turns_and_are_judged_by_rounds(tmp_path):
    calls = tmp_path / "calls"
    file = tmp_path / "naps_study.py"
    file.write_text(NAPS.replace("CALLS_FILE", str(calls)))
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    outcome = run_study(Options(str(file), out=tmp_path / "runs", jobs=2), LiveDisplay(console))
    assert "by turns, nothing beside them" in console.file.getvalue()
    assert not outcome.failures
    assert calls.read_text().startswith("13" * 9)  # a warm-up and eight rounds, always by turns
    verdicts = {j.id: j for j in outcome.judgements}
    assert verdicts["C1"].evidence.n == 8
    assert 2 < verdicts["C1"].evidence.estimate < 4
    assert verdicts["C2"].word == "holds"
    specs = [json.loads(f.read_text())["spec"] for f in (tmp_path / "runs" / "trials").glob("*.json")]
    assert all("machine" in spec for spec in specs)  # another machine's seconds are another measurement
    assert run_study(Options(str(file), out=tmp_path / "runs")).ran == 0
