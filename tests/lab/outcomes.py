"""A finished run that was never run: made-up measurements of three arms, judged by the real claims."""

import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

from allyouneed.lab import Study
from allyouneed.lab.judging.claims import judge
from allyouneed.lab.judging.measurements import Measurements
from allyouneed.lab.outcome import Outcome, Tuned
from allyouneed.lab.trials.result import TrialResult

FLOORS = {"sinusoidal": 1.52, "learned": 1.478, "rope": 1.40}


@dataclass(frozen=True)
class Scale:
    max_steps: int = 600
    d_model: int = 64
    minutes: float = 5.0


study = Study(paper="rope", scales={"smoke": Scale(20), "laptop": Scale()}, data="python_code")


@study.trial(arm=list(FLOORS), tune={"lr": [1e-3, 3e-3, 1e-2], "on": "tuning_loss"})
def train(arm, seed, scale, run, lr):
    raise AssertionError("the made-up run is never run")


@study.gate(baseline="a byte trigram model of the training text")
def learned_something(m):
    return m.below("test_loss", 2.21)


@study.claim("C1", paper="BLEU 27.5 against 27.3 (Table 1)", weaker_form="language modelling instead of translation")
def reaches_a_lower_loss(m):
    """Trained alike on the same text, RoPE ends with a lower test loss than sinusoidal positions."""
    return m.less("test_loss", "rope", than="sinusoidal")


@study.claim("C2", paper="lower at every step of pretraining (Figure 3)")
def learned_beats_sinusoidal_clearly(m):
    """Learned positions end at least 0.05 nats per byte below sinusoidal ones."""
    return m.less("test_loss", "learned", than="sinusoidal", by=0.05)


@study.claim("C3", paper="no worse on inputs longer than any in training (Section 3.4.3)")
def keeps_its_loss_on_longer_texts(m):
    """At four times the training length RoPE's loss is no worse than at its own (margin 0.02 nats)."""
    return m.effect(lambda u: u["rope"]["loss_4x"] - u["rope"]["loss_1x"], label="loss_4x - loss_1x").below(0.02)


study.not_run("C4", "RoPE is better on CAIL2019-SCM.", paper="69.79 % (Table 5)", reason="the corpus may not be shared")


@study.figure
def loss_while_training(m):
    """Training loss of the three position schemes; the bands are 95 % intervals over seeds."""
    return m.curves("loss", x="training step", y="loss, nats per byte")


@study.figure
def loss_against_length(m):
    """Test loss on windows longer than the training window (the dashed rule)."""
    return m.lines(
        ["loss_1x", "loss_2x", "loss_4x"], at=[1, 2, 4], x="window / training window", y="nats per byte", mark=1
    )


@study.figure
def final_loss(m):
    """Test loss at the end."""
    return m.bars("test_loss", y="nats per byte")


def results(n_seeds: int = 5, floors: dict[str, float] | None = None) -> list[TrialResult]:
    """A result for every arm and seed."""
    return [_result(arm, floor, seed) for seed in range(n_seeds) for arm, floor in (floors or FLOORS).items()]


def make_outcome(folder: Path, n_seeds: int = 5, floors: dict[str, float] | None = None, **changes) -> Outcome:
    """The whole outcome, in a folder that then exists; `changes` replace its fields."""
    folder.mkdir(parents=True, exist_ok=True)
    scale = study.scales["laptop"]
    m = Measurements(results(n_seeds, floors), trial="train", arms=list(FLOORS), scale=scale)
    gate = study.gates[0]
    gates = {gate.name: gate.function(m)}
    outcome = Outcome(
        study=study,
        scale_name="laptop",
        scale=scale,
        overrides={},
        seeds=list(range(n_seeds)),
        extended_from=None,
        data=("python_code", "5f2c" * 16),
        device="cpu",
        judgements=[
            judge(claim, m if claim.trials else None, [(gate, gates[gate.name])] if claim.trials else [])
            for claim in study.claims.values()
        ],
        gates=gates,
        measurements={"train": m},
        failures=[],
        tuned=[
            Tuned("train", "sinusoidal", {"lr": 3e-3}, "searched", (), (({"lr": 1e-3}, 1.61), ({"lr": 3e-3}, 1.52))),
            Tuned("train", "learned", {"lr": 3e-3}, "recorded"),
            Tuned(
                "train", "rope", {"lr": 1e-2}, "searched", ("the best lr of rope lies on the edge of its grid (0.01)",)
            ),
        ],
        sample=(
            "a sample of the model (rope, seed 2)",
            "def f(x):\n    return x  # <b>bold</b> & <script>alert(1)</script>\n",
        ),
        digests={"train": "ab12" * 16},
        claim_digests={claim: f"{claim.lower()}00" * 16 for claim in study.claims},
        packages={"torch": "2.13.0", "numpy": "2.2.1"},
        machine={"cpu": "A CPU of 2 cores", "cores": 2, "threads": 1, "gpu": None, "python": "3.11.2"},
        ran=15,
        reused=3,
        minutes=4.2,
        core_minutes=8.1,
        folder=folder,
    )
    return replace(outcome, **changes)


def _result(arm: str, floor: float, seed: int) -> TrialResult:
    luck = random.Random(seed).gauss(0, 0.02)  # what the seeds share, so that pairs differ less than arms do
    rng = random.Random(f"{arm} {seed}")
    end = floor + luck + rng.gauss(0, 0.012)
    growth = {"sinusoidal": 0.55, "learned": 0.9, "rope": 0.21}[arm]
    return TrialResult(
        trial="train",
        arm=arm,
        seed=seed,
        measurements={
            "test_loss": end,
            "tuning_loss": end + 0.01,
            **{f"loss_{n}x": end + growth * math.log2(n) + rng.gauss(0, 0.02) for n in (1, 2, 4)},
        },
        log=[
            {"step": step, "loss": end + 2.2 * math.exp(-step / 110) + rng.gauss(0, 0.015), "lr": 1e-3}
            for step in range(20, 601, 20)
        ],
        shown={"a sample of the model": "def f(x): return x"},
        seconds=16.0,
        factors={},
    )
