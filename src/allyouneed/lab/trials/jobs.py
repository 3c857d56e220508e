"""A job: one trial of one arm with one seed, in words that a worker process can be sent."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from allyouneed.errors import UserError
from allyouneed.lab.loading import load_object, load_study
from allyouneed.lab.scales import smaller_sizes
from allyouneed.lab.study import Arm, Study


@dataclass(frozen=True)
class Setting:
    """What all jobs of one run share; `smaller` is the place of a smaller size among those of the scale.

    `first_seed` is the least of the run's seeds. Timings, and artifacts that all seeds share, are made with it.
    `inputs` are the paths of the user's own inputs, by the names that the study gives them.
    `tries_of` names the trial that the jobs tune: they run at the values of its `tune.at` that the user has not set.
    """

    reference: str
    scale: str
    overrides: dict[str, str]
    arms: dict[str, str]
    data: str | None
    device: str
    out: str
    smaller: int | None = None
    first_seed: int = 0
    tries_of: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)

    def scale_of(self, study: Study) -> Any:
        """The scale at which the jobs run."""
        scale = study.scale(self.scale, self.overrides, self.data)
        scale = scale if self.smaller is None else smaller_sizes(scale)[self.smaller]
        tune = study.trials[self.tries_of].tune if self.tries_of else None
        at = tune.at if tune else {}
        return replace(scale, **{name: value for name, value in at.items() if name not in self.overrides})


@dataclass(frozen=True)
class Job:
    """One trial to run. `spec` is all that its result may depend on, `key` the digest of that."""

    setting: Setting
    trial: str
    arm: str
    seed: int
    key: str
    spec: dict[str, Any]
    tuned: dict[str, Any] = field(default_factory=dict)
    patience: float = 600.0

    @property
    def label(self) -> str:
        """How the job is named to people."""
        chosen = "".join(f" {name}={value:g}" for name, value in self.tuned.items() if isinstance(value, int | float))
        return f"{self.trial} · {self.arm} · seed {self.seed}{chosen}"

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        values = json.loads(text)
        return cls(**values | {"setting": Setting(**values["setting"])})


def open_study(reference: str, arms: Mapping[str, str]) -> Study:
    """The study with the user's own arms (name -> file.py:Class, made without arguments) in it."""
    study = load_study(reference)
    for name, spec in arms.items():
        study = study.with_arm(name, _made(name, load_object(spec)))
    return study


def _made(name: str, found: Any) -> Any:
    """What a user's name stands for: a class is made without arguments, anything else is the arm itself."""
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:
        raise UserError(f"--arm {name}: {found.__name__} cannot be made without arguments: {error}") from error


def arm_digest_value(arm: Arm) -> Any:
    """An arm's value as `source.value_digest` reads it: a grid's combination as a tuple."""
    return tuple(vars(arm.value).items()) if arm.factors else arm.value
