"""Small studies for the tests of the engine. None uses torch, so that workers start at once."""

from pathlib import Path

COIN = '''
"""Does the biased coin show more heads?"""

import random
import time
from dataclasses import dataclass

from allyouneed.lab import Study


@dataclass(frozen=True)
class Scale:
    flips: int
    max_steps: int = 5
    minutes: float = 0.01
    seeds: int = 6


study = Study(paper="coin", scales={"smoke": Scale(100), "laptop": Scale(400)})


def flip(bias, rng):
    return 1.0 if rng.random() < bias else 0.0


@study.trial(arm={"fair": 0.5, "biased": 0.7}, tune={"pause": [0.0, 0.001, 0.002], "on": "cost"}, patience=PATIENCE)
def toss(arm, seed, scale, run, pause):
    rng = random.Random(seed)
    for step in range(scale.max_steps):
        run.log(step=step, loss=1.0 / (step + 1))
        time.sleep(PAUSE)
    HOOK
    heads = [flip(arm, rng) for _ in range(scale.flips)]
    run.show("sample", f"first flips: {heads[:5]}")
    return {"heads": sum(heads) / len(heads), "cost": 1.0 + pause, "flips": heads}


@study.gate(baseline="a coin that never shows heads")
def shows_heads(m):
    return m.above("heads", 0.0)


@study.claim("C1", paper="70 % heads (Table 1)")
def biased_shows_more(m):
    """The biased coin shows more heads than the fair one."""
    return m.more("heads", "biased", than="fair")


@study.claim("C2", paper="the fair coin wins (Table 2)")
def fair_shows_more(m):
    """The fair coin shows more heads than the biased one."""
    return m.more("heads", "fair", than="biased")


study.not_run("C3", "The coin lands on its edge.", paper="once (Figure 3)", reason="no edge in this model")


@study.figure
def losses(m):
    """Loss by step."""
    return m.curves("loss", x="step", y="loss")
'''


def write_coin(folder: Path, *, hook: str = "", pause: float = 0.0, patience: float = 60.0) -> Path:
    """The coin study as `folder/coin_study.py`; `hook` is a line inside the trial."""
    text = COIN.replace("PATIENCE", repr(patience)).replace("PAUSE", repr(pause)).replace("HOOK", hook or "pass")
    file = folder / "coin_study.py"
    file.write_text(text)
    return file
